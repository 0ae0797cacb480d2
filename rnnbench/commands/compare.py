"""``rnnbench compare``: our kernels against other libraries, on this machine, now."""

import sys

import click
from click.core import ParameterSource

from rnnbench.commands._options import json_option
from rnnbench.peers.workload import DIRECTIONS

COMMANDLINE = ParameterSource.COMMANDLINE


@click.command()
@click.option(
    "--cell",
    "cells",
    multiple=True,
    help="Repeatable; default: all that libraries of layers have, installed or not.",
)
@click.option("--shape", "shapes", multiple=True, help="Like T50B32H128; repeatable.")
@click.option("--set", "set_name", help="small (default), tiny, deepbench, deepbench-lstm, ...")
@click.option("--direction", type=click.Choice(DIRECTIONS), help="Default: both.")
@click.option("--peer", "peers", multiple=True, help="Repeatable; default: all installed.")
@click.option("--threads", type=int, help="For every peer; default: all processors.")
@click.option("--rounds", type=int, default=7, show_default=True)
@click.option("--memory/--no-memory", default=True, help="Measure it, for some seconds more each.")
@json_option
@click.option("--plot", "plot_path", metavar="FILE", help="Also draw it, as .svg or .png.")
@click.option("--from", "saved", metavar="FILE", help="Measure nothing; --plot what --json wrote.")
@click.pass_context
def command(
    context, cells, shapes, set_name, direction, peers, threads, rounds, memory, json_path,
    plot_path, saved,
):  # fmt: skip
    """Time rnnbench, PyTorch, ONNX Runtime, OpenVINO and JAX side by side, in float32.

    Each runs in its own process with the same number of threads. Each is first checked against
    the reference in float64 at the very shape, and not timed if it disagrees. Then, round after
    round, each is timed in turn, and so is a matrix product of 2048 x 2048, the limit.

    \b
    forward   y and the final states (PyTorch: inference mode)
    train     forward, then the gradients of all parameters, x and initial states

    PyTorch, ONNX Runtime and OpenVINO run their own layers, the last two forward only; JAX runs
    the equations of any cell, jitted, in lax.scan. What they prepare once is not timed: weights
    laid out for them, models and functions compiled.

    MB is the peak of resident memory that a first call adds, its result included, to what is there
    when inputs, weights and compiled code are ready: in a process of its own, which has run the
    cell at a tiny shape. On Linux only. Where one sequence runs alone, the time per step is shown.

    GF/s count the products with weight matrices alone: 2*T*B*(their elements) forward, three
    times that for train. A cell that adds x itself runs with I = H.
    Figures from two runs are not comparable; the ratios within one are.
    Exit code: 1 where a kernel of rnnbench itself disagrees, else 0.

    \b
    rnnbench compare --cell gru --cell 'lstm[projection=true]' --shape T50B32H128
    rnnbench compare --set deepbench-server --direction forward --json FILE
    rnnbench compare --from FILE --plot FILE.svg
    """
    from rich.console import Console

    from rnnbench.cells import cell_names, get_cell
    from rnnbench.checks import check_count
    from rnnbench.cpu.threads import available
    from rnnbench.errors import InputError
    from rnnbench.peers import OURS, choose_peers
    from rnnbench.peers.plot import check_plot, draw, read
    from rnnbench.peers.rounds import TIMED, Comparison
    from rnnbench.peers.show import as_json, head, show_head, show_summary
    from rnnbench.report import machine, write_json
    from rnnbench.shapes import get_set, get_shape

    check_plot(plot_path)
    if saved is not None:
        given = {n for n in context.params if context.get_parameter_source(n) == COMMANDLINE}
        if given != {"saved", "plot_path"}:
            raise InputError("--from draws saved results: it needs --plot, and takes nothing else")
        draw(read(saved), plot_path)
        return
    if shapes and set_name is not None:
        raise InputError("both --shape and --set given; give one")
    set_name = "small" if set_name is None else set_name
    chosen = [get_shape(s) for s in dict.fromkeys(shapes)] or get_set(set_name)
    names = list(dict.fromkeys(get_cell(c).name for c in cells))
    directions = [direction] if direction else DIRECTIONS
    check_count("--rounds", rounds)
    threads = available() if threads is None else check_count("--threads", threads)
    if threads > available():
        raise InputError(f"--threads is {threads}; this process may use {available()} processors")
    versions = choose_peers(peers)
    pairs = [(c, d) for c in names or cell_names() for d in directions]
    if not names:
        pairs = layers_of_peers(pairs, versions)
    if not pairs:
        raise InputError(f"nothing to compare: {', '.join(peers)} offers no {direction}")

    console = Console()

    def save(results):
        if json_path:
            write_json(json_path, as_json(facts, results))
        if plot_path:
            draw(as_json(facts, results), plot_path)

    with Comparison(versions, threads, rounds, memory) as comparison:
        facts = head(machine(), versions, threads, rounds, comparison.sgemm_source)
        show_head(console, facts)
        results = measure(console, comparison, pairs, chosen, save)
    show_summary(console, facts, results)
    if any(r.timings[OURS].status != TIMED for r in results):
        sys.exit(1)  # our own kernel is wrong, or failed


def layers_of_peers(pairs, versions) -> list:
    """The (cell, direction) that a peer has, of cells that are a layer of a library.

    Those that take part count, or all where none does. All pairs where there are no peers.
    """
    from rnnbench.peers import ANY_CELL, OURS, PEERS, load_peer

    chosen = [name for name in versions if name != OURS] or [name for name in PEERS if name != OURS]
    libraries = [name for name in chosen if name not in ANY_CELL] or [
        name for name in PEERS if name not in ANY_CELL
    ]

    def offered(names, cell, directions):
        return any(load_peer(n).offers(cell, d) for n in names for d in directions)

    layers = {cell for cell, _ in pairs if offered(libraries, cell, DIRECTIONS)}
    return [(c, d) for c, d in pairs if not chosen or (c in layers and offered(chosen, c, [d]))]


def measure(console, comparison, pairs, shapes, save) -> list:
    """All results; those of a cell are shown and saved as soon as it is done."""
    from rich.console import Console
    from rich.markup import escape

    from rnnbench.peers.show import show_group
    from rnnbench.peers.workload import Workload

    results = []
    with Console(stderr=True).status("starting") as status:
        for cell in dict.fromkeys(cell for cell, _ in pairs):
            tables = {d: [] for c, d in pairs if c == cell}
            # Both directions of a shape follow each other: they share the reference's result.
            for workload in (Workload(cell, s, d) for s in shapes for d in tables):
                number = f"{len(results) + 1}/{len(pairs) * len(shapes)}"
                label = f"{number} {cell} {workload.shape.name} {workload.direction}"
                result = comparison.run(
                    workload, lambda line, label=label: status.update(escape(f"{label}: {line}"))
                )
                results.append(result)
                tables[workload.direction].append(result)
            for direction, rows in tables.items():
                show_group(console, f"{cell}, {direction}", rows)
            save(results)
    return results
