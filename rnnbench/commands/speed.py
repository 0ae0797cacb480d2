"""``rnnbench speed``: what our kernels promise beside other libraries' times, measured here."""

import sys

import click

from rnnbench.commands._options import json_option

NAMES = ("cells", "dtype", "threads", "time", "start", "steps", "gradients")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[FIGURE]...")
@click.option("--cell", "cells", multiple=True, help="Repeatable; default: each figure's own.")
@click.option("--shape", "shapes", multiple=True, help="Like T50B32H128; repeatable.")
@click.option("--threads", type=int, help="Default: all processors.")
@click.option("--rounds", type=int, default=3, show_default=True)
@json_option
def command(names, cells, shapes, threads, rounds, json_path):
    """Measure the CPU kernels against one another: each FIGURE named, or all.

    \b
    cells    every cell against the LSTM, forward and train
    dtype    the rate of float64 over that of float32: lstm, gru, elman_tanh
    threads  all processors against one thread: lstm
    time     seconds and memory by the number of steps T, and a straight line
             through them: lstm, B=8, H=128, T from 100 to 10,000
    start    import rnnbench, and the first forward and backward of lstm in a
             fresh process, with an empty disk cache and from the disk cache
    steps    microseconds a step of one sequence: lstm, gru, elman_tanh, forward
    gradients  other ways of taking a gradient beside the plain one, time and peak
             memory: checkpointing at T=20,000, RTRL by H, a scan by T, stacked
             and bidirectional layers beside their parts

    Nothing is timed before it agrees with the reference in float64 at that very
    shape. What is divided by one another was timed in one process, in turn, round
    after round; quotients are taken in each round, and their median and range
    shown. All figures take some ten minutes once the kernels are compiled; use
    more rounds, on a machine that does nothing else, for figures to be kept.

    The cost of a cell is given in two ways, both relative to the LSTM's at the
    same shape. Per gate: time over the multiply-adds of the weight matrices; an
    LSTM gate is H*(I+H) of them a step, and so is a gate of any cell, whichever of
    its matrices they are in. This is held against the limit: 1.3 for cells of one
    stage, 1.6 for those of more, whose stages wait for each other. Per slot: time
    over the pre-activations a step computes, where a slot fed by x alone counts as
    much as one fed by x and h. Cells without a recurrent matrix do twice as much
    pointwise work for a multiply-add, so that the first is severe with them. The
    row of lstm itself is timed against a second lstm: how far it is from 1 is
    what the measurement is worth.

    A line through times or memory makes the squares of the relative errors least.
    Memory is what `rnnbench compare` says it is; on Linux only.
    Exit code: 1 where a kernel disagrees with the reference or fails, else 0; a
    limit that is passed is shown, and no error.

    \b
    rnnbench speed
    rnnbench speed cells --cell gru --cell 'lstm[projection=true]'
    rnnbench speed threads time --json FILE
    rnnbench speed steps --shape T100B1H128
    """
    from rich.console import Console

    from rnnbench.cells import get_cell
    from rnnbench.checks import check_count
    from rnnbench.cpu.threads import available
    from rnnbench.errors import InputError
    from rnnbench.peers.figure_tables import show_head
    from rnnbench.peers.growth import check_lengths
    from rnnbench.peers.speed import FIGURES, as_json, facts, unfit
    from rnnbench.report import write_json
    from rnnbench.shapes import get_shape

    asked = list(dict.fromkeys(names)) or NAMES
    chosen = [get_shape(s) for s in dict.fromkeys(shapes)]
    cells = list(dict.fromkeys(get_cell(c).name for c in cells))
    check_count("--rounds", rounds)
    threads = available() if threads is None else check_count("--threads", threads)
    if threads > available():
        raise InputError(f"--threads is {threads}; this process may use {available()} processors")
    if threads == 1 and "threads" in names:
        raise InputError("threads compares several threads with one; only one is to be used here")
    if chosen and "time" in asked:
        check_lengths(chosen)

    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)
    head, measured = facts(threads, rounds), {}
    show_head(console, head)
    for name in asked:
        if name == "threads" and threads == 1:
            console.print("threads: not measured, there is one")
            continue
        figure = FIGURES[name]
        what = cells or figure.cells(), chosen or figure.shapes
        rows = measured[name] = measure(name, figure, *what, threads, rounds)
        console.print(f"\n[bold]{name}[/]")
        figure.show(console, rows)
        if json_path:
            write_json(json_path, as_json(head, measured))
    if any(unfit(rows) for rows in measured.values()):
        sys.exit(1)


def measure(name, figure, cells, shapes, threads, rounds) -> list[dict]:
    """A figure's rows, with progress on stderr."""
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(name) as status:
        return figure.measure(
            cells,
            shapes,
            threads,
            rounds,
            lambda line: status.update(escape(f"{name}: {line}")),
        )
