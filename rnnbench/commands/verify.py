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
from rnnbench.conformance.verify import Report, applicable, select, simulated, verify
from rnnbench.cpu.threads import available
from rnnbench.report import machine, write_json


@click.command()
@click.option("--cell", "cells", multiple=True, help="Only this cell; may be repeated.")
@click.option("--target", "targets", multiple=True, help="cpu, cuda or reference; repeatable.")
@click.option("--dtype", "dtypes", multiple=True, help="float32 or float64; repeatable.")
@click.option("--plant", metavar="NAME", help="Break one thing on purpose; 'list' lists them.")
@click.option(
    "-j", "workers", type=int, metavar="N", help="Worker processes; default: a core each."
)
@json_option
def command(cells, targets, dtypes, plant, workers, json_path):
    """Check every kernel: is each cell right, on each target, in each dtype?

    \b
    Each kernel against the reference (outputs, states, every gradient), on
    random cases and on English text; its gradient against finite differences;
    identities (T=1, B=1, ragged = each sequence alone, zero peepholes = LSTM).
    The reference's gradients against finite differences and the complex step.

    Without a GPU the cuda target runs in Numba's simulator. The first run
    compiles (one to three minutes); later ones load from the disk cache.

    \b
    Exit code: 0 all pass, 1 something fails, 2 wrong usage.
    A planted mistake must make it fail:  rnnbench verify --plant swapped-gates
    """
    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)
    if plant == "list":
        show_plants(console)
        return
    units = select(cells, targets, dtypes)
    if plant:
        units = applicable(units, get_plant(plant).name)
    start = time.perf_counter()
    reports = collect(units, plant or "", available() if workers is None else workers)
    seconds = time.perf_counter() - start
    show(console, reports)
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
                console.print(f"NOT caught: {r.unit.cell} {r.unit.target} {r.unit.dtype}")
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
            progress.update(task, advance=1, description=f"{unit.cell} {unit.target} {unit.dtype}")
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
        table.add_column(name, justify=justify, no_wrap=name != "where")
    for r in reports:
        worst = r.worst or {"error": float("nan"), "tolerance": float("nan"), "where": "crashed"}
        target = {"reference": "ref"}.get(r.unit.target, r.unit.target)
        table.add_row(
            r.unit.cell,
            target,
            r.unit.dtype,
            f"{worst['error']:.1e}",
            f"{worst['tolerance']:.1e}",
            escape(worst["where"]),
            "[green]ok[/]" if r.passed else "[red]FAIL[/]",
        )
    console.print(table)


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
