"""``rnnbench verify``: run the correctness suite."""

import sys
import time

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rnnbench.commands._options import json_option
from rnnbench.conformance.plants import PLANTS, get_plant
from rnnbench.conformance.verify import (
    TARGETS,
    Report,
    applicable,
    select,
    simulated,
    verify,
)
from rnnbench.cpu.threads import available
from rnnbench.errors import InputError
from rnnbench.report import machine, write_json

MOST_ROWS = 24  # up to here every unit has its own row


@click.command()
@click.option("--cell", "cells", multiple=True, help="Only this cell; may be repeated.")
@click.option(
    "--target", "targets", multiple=True, help="cpu, cuda, plain or reference; repeatable."
)
@click.option("--dtype", "dtypes", multiple=True, help="float32 or float64; repeatable.")
@click.option("--all", "everything", is_flag=True, help="Every cell and variant, everywhere.")
@click.option("--plant", metavar="NAME", help="Break one thing on purpose; 'list' lists them.")
@click.option(
    "-j", "workers", type=int, metavar="N", help="Worker processes; default: a core each."
)
@json_option
def command(cells, targets, dtypes, everything, plant, workers, json_path):
    """Check every kernel: is each cell right, on each target, in each dtype?

    Without names a covering selection: each cell on each kernel target in one
    dtype, and variants that take every value of every option, in plain NumPy
    (and a few, which set every option, on the kernel targets).
    Cells that are named are checked in every dtype; --all checks every cell and
    variant on every target in every dtype (half an hour when cold).

    \b
    Each kernel against the reference (outputs, states, every gradient), on
    random cases and on English text; its gradient against finite differences;
    identities (T=1, B=1, ragged = each sequence alone, zero peepholes = LSTM);
    gradient algorithms (truncated, checkpointed, hybrid, RTRL, …) and networks
    (stacked, bidirectional, attention, …) of the cell, one of each in turn, all
    for cells that are named and with --all.
    The reference's gradients against finite differences and the complex step.

    Without a GPU the cuda target runs in Numba's simulator. The first run
    compiles (two to three minutes); later ones load from the disk cache.

    \b
    rnnbench verify --cell gru
    rnnbench verify --cell 'lstm[projection=true,clip=2]' --target cpu

    \b
    Exit code: 0 all pass, 1 something fails, 2 wrong usage.
    A planted mistake must make it fail:  rnnbench verify --plant swapped-gates
    """
    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)
    if plant == "list":
        show_plants(console)
        return
    if everything and cells:
        raise InputError("--all is for every cell; a cell that is named is checked everywhere")
    units = select(cells, targets, dtypes, everything)
    if plant:
        units = applicable(units, get_plant(plant).name)
    start = time.perf_counter()
    reports = collect(units, plant or "", available() if workers is None else workers)
    seconds = time.perf_counter() - start
    show(console, reports) if len(reports) <= MOST_ROWS else show_grid(console, reports)
    failed = [r for r in reports if not r.passed]
    show_failures(console, failed)
    where = "simulator" if any(u.target == "cuda" for u in units) and simulated() else "GPU"
    on = f"; cuda on the {where}" if any(u.target == "cuda" for u in units) else ""
    checks = sum(len(r.results) for r in reports)
    if plant:
        caught = sum(r.caught for r in reports)
        console.print(f"planted {plant}: caught on {caught} of {len(reports)} kernels{on}")
        for r in reports:
            if not r.caught:
                name = f"{r.unit.cell} {r.unit.target} {r.unit.dtype}"
                console.print(f"NOT caught: {name}", markup=False)
    verdict = f"{len(reports) - len(failed)} of {len(reports)} pass"
    console.print(f"{verdict}: {checks} comparisons in {seconds:.0f} s{on}", soft_wrap=True)
    if json_path:
        write_json(
            json_path,
            {
                "passed": not failed,
                "plant": plant,
                "seconds": seconds,
                "cuda": where if on else None,
                "machine": machine(),
                "units": [r.as_json() for r in reports],
            },
        )
    sys.exit(1 if failed else 0)


def collect(units, plant: str, workers: int) -> list[Report]:
    """All reports in the units' order, with progress on stderr."""
    order = {unit: i for i, unit in enumerate(units)}
    reports = []
    with Progress(
        TextColumn("{task.description:32}"),
        BarColumn(None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("compiling and checking", total=len(units))
        for report in verify(units, plant, workers):
            reports.append(report)
            unit = report.unit
            name = escape(f"{unit.cell} {unit.target} {unit.dtype}"[:60])
            progress.update(task, advance=1, description=name)
    return sorted(reports, key=lambda r: order[r.unit])


def show(console: Console, reports: list[Report]) -> None:
    """One row a unit: its worst comparison, by error over tolerance."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name, justify in (
        ("cell", "left"),
        ("target", "left"),
        ("dtype", "left"),
        ("error", "right"),
        ("tolerance", "right"),
        ("where", "left"),
        ("", "left"),
    ):
        wraps = name in ("cell", "where")  # a variant's name may be long
        limit = 34 if name == "cell" else None
        table.add_column(name, justify=justify, no_wrap=not wraps, overflow="fold", max_width=limit)
    for r in reports:
        worst = r.worst or {"error": float("nan"), "tolerance": float("nan"), "where": "crashed"}
        target = {"reference": "ref"}.get(r.unit.target, r.unit.target)
        table.add_row(
            escape(r.unit.cell),
            target,
            r.unit.dtype,
            f"{worst['error']:.1e}",
            f"{worst['tolerance']:.1e}",
            escape(worst["where"]),
            "[green]ok[/]" if r.passed else "[red]FAIL[/]",
        )
    console.print(table)


def show_grid(console: Console, reports: list[Report]) -> None:
    """One row a cell, its variants included: on each target the worst error over tolerance."""
    targets = [t for t in TARGETS if any(r.unit.target == t for r in reports)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("cell", no_wrap=True)
    for target in targets:
        table.add_column({"reference": "ref"}.get(target, target), justify="right")
    for name in ("variants", "checks"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    rows: dict[str, list[Report]] = {}
    for r in reports:
        rows.setdefault(r.unit.cell.partition("[")[0], []).append(r)
    for cell, own in rows.items():
        worst = []
        for target in targets:
            ratios = [r.worst["ratio"] for r in own if r.unit.target == target and r.worst]
            worst.append(f"{max(ratios):.3f}" if ratios else "")
        variants = len({r.unit.cell for r in own} - {cell})
        checks = sum(len(r.results) for r in own)
        verdict = "[green]ok[/]" if all(r.passed for r in own) else "[red]FAIL[/]"
        table.add_row(cell, *worst, str(variants or ""), str(checks), verdict)
    console.print(table)
    console.print("error over tolerance, the largest of all comparisons")


def show_failures(console: Console, failed: list[Report], most: int = 12) -> None:
    """The first departure of each failing unit: checks run from outputs to gradients."""
    for r in failed[:most]:
        name = f"{r.unit.cell} {r.unit.target} {r.unit.dtype}"
        if r.crash:
            console.print(f"{name} crashed:\n{r.crash}", markup=False)
            continue
        first, count = r.first_failure, sum(not q["passed"] for q in r.results)
        console.print(
            f"{name}: {count} of {len(r.results)} comparisons fail, first in '{first['check']}' at "
            f"{first['where']}: off by {first['error']:.1e}, allowed {first['tolerance']:.1e}",
            markup=False,
        )
    if len(failed) > most:
        console.print(f"… and {len(failed) - most} more")


def show_plants(console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("plant", no_wrap=True)
    table.add_column("what it breaks")
    for plant in PLANTS.values():
        table.add_row(plant.name, plant.help)
    console.print(table)
