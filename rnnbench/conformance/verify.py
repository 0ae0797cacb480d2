"""Job 1: every kernel against the reference, the reference against two other derivations.

The work is cut into units (the reference of a cell; a cell on a target in a dtype), run in spawned
worker processes. Where there is no GPU the workers run the CUDA kernels in Numba's simulator,
which has to be chosen before Numba is imported.
"""

import multiprocessing
import os
import traceback
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import numpy as np

from rnnbench.cells import cell_names, get_cell
from rnnbench.checks import DTYPES, check_count, check_dtype
from rnnbench.conformance.variants import representative_variants, variant_names
from rnnbench.errors import InputError, unknown
from rnnbench.spec import UNIT
from rnnbench.target import get_target

KERNEL_TARGETS = ("cpu", "cuda")
CHEAP_TARGETS = ("reference", "plain")
TARGETS = (*CHEAP_TARGETS, *KERNEL_TARGETS)
SIMULATOR = "NUMBA_ENABLE_CUDASIM"


@dataclass(frozen=True, order=True)
class Unit:
    """What one worker checks at a time. The reference has no dtype of its own: float64.

    thorough: with every gradient algorithm and network, not only those whose turn it is.
    """

    cell: str
    target: str
    dtype: str
    thorough: bool = False


@dataclass
class Report:
    """The results of a unit: comparisons as dicts, in the order the checks ran."""

    unit: Unit
    results: list[dict] = field(default_factory=list)
    crash: str = ""

    @property
    def passed(self) -> bool:
        return not self.crash and bool(self.results) and all(r["passed"] for r in self.results)

    @property
    def caught(self) -> bool:
        """Did a comparison fail? (A crash proves nothing.)"""
        return any(not r["passed"] for r in self.results)

    @property
    def worst(self) -> dict | None:
        return max(self.results, key=lambda r: r["ratio"], default=None)

    @property
    def first_failure(self) -> dict | None:
        return next((r for r in self.results if not r["passed"]), None)

    def as_json(self) -> dict:
        unit = {"cell": self.unit.cell, "target": self.unit.target, "dtype": self.unit.dtype}
        return unit | {
            "passed": self.passed,
            "crash": self.crash,
            "checks": len(self.results),
            "worst": self.worst,
            "failures": [r for r in self.results if not r["passed"]],
        }


def location(cell: str, argument: str, index: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """``dW[f:3,0]``: an index, with the gate by name where the argument is stacked by gates."""
    parts = [str(i) for i in index]
    for p in get_cell(cell).spec.parameters:
        if argument == f"d{p.name}" and index and len(p.gates) > 1:
            gate, unit = divmod(index[0], shape[0] // len(p.gates))
            parts[0] = f"{p.gates[gate]}:{unit}" if p.kind != UNIT else p.gates[gate]
    return f"{argument}[{','.join(parts)}]" if parts else argument


def select(
    cells: Iterable[str], targets: Iterable[str], dtypes: Iterable[str], everything: bool = False
) -> list[Unit]:
    """The units of a selection. InputError for an unknown name.

    Cells that are named are checked on every target in every dtype, unless those are named too.
    Without names: a covering selection, each cell on each kernel target in one dtype, cpu and cuda
    in different ones, and variants with options in plain NumPy, a few of them on the kernel targets
    too; with ``everything``, every cell and variant on every target in every dtype.
    """
    cells = [get_cell(cell).name for cell in cells]
    targets, dtypes = list(dict.fromkeys(targets)), [check_dtype(d).name for d in dtypes]
    for name in targets:
        if name not in TARGETS:
            raise unknown("target", name, TARGETS)
    units = []
    for i, cell in enumerate(dict.fromkeys(cells or cell_names())):
        for target in targets or TARGETS:
            turn = (i + (target == "cuda")) % 2
            both = cells or everything
            own = dtypes or (DTYPES if both else DTYPES[turn : turn + 1])
            units += units_of(cell, target, own, bool(both))
    compiled = [] if cells else representative_variants()
    for i, cell in enumerate([] if cells else variant_names()):
        for target in targets or TARGETS:
            turn = (i + (target == "cuda")) % 2
            own = dtypes or (DTYPES if everything else DTYPES[turn : turn + 1])
            if everything or target in CHEAP_TARGETS or cell in compiled:
                units += units_of(cell, target, own, everything)
    return units


def units_of(cell: str, target: str, dtypes: Iterable[str], thorough: bool) -> list[Unit]:
    """The dtypes that are worth checking there: what does not compile is checked in float64."""
    chosen = ["float64"] if target in CHEAP_TARGETS else dict.fromkeys(dtypes)
    return [Unit(cell, target, dtype, thorough) for dtype in chosen]


def prepare_worker(simulate: bool) -> None:
    """Runs in a new worker, before Numba is imported there."""
    if simulate:
        os.environ[SIMULATOR] = "1"


def simulated() -> bool:
    """Will the CUDA kernels run in the simulator?"""
    from rnnbench.cuda.jit import SIMULATED, available

    return SIMULATED or not available()


def run_unit(unit: Unit, plant: str = "") -> Report:
    """All checks of a unit, in this process. A crash is a failure with its traceback's end."""
    report = Report(unit)
    try:
        report.results = [describe(unit.cell, r) for r in unit_results(unit, plant)]
    except Exception:
        report.crash = traceback.format_exc(limit=-3)
    return report


def unit_results(unit: Unit, plant: str) -> Iterator:
    from rnnbench.conformance.checks import CHECKS
    from rnnbench.conformance.kernel_checks import Context
    from rnnbench.conformance.plants import PlantedTarget, get_plant
    from rnnbench.conformance.reference_checks import check_reference

    if unit.target == "reference":
        yield from check_reference(unit.cell)
        return
    target = get_target(unit.target)
    if plant:
        target = PlantedTarget(target, get_plant(plant))
    quick = unit.target == "cuda" and os.environ.get(SIMULATOR) == "1"
    context = Context(
        target,
        get_target("reference"),
        unit.cell,
        np.dtype(unit.dtype),
        quick=quick,
        thorough=unit.thorough,
        turn=turn_of(unit),
    )
    for check in CHECKS:
        yield from check(context)


def turn_of(unit: Unit) -> int:
    """Which of some checks a unit's turn is: the same for a cell whatever else is registered."""
    return zlib.crc32(f"{unit.cell} {unit.target}".encode())


def describe(cell: str, result) -> dict:
    """A Result as plain data."""
    error, limit = float(result.error), float(result.tolerance)
    return {
        "check": result.check,
        "where": location(cell, result.argument, result.index, result.shape),
        "error": error,
        "tolerance": limit,
        "ratio": error / limit if limit else (0.0 if error == 0 else float("inf")),
        "passed": result.passed,
    }


def applicable(units: list[Unit], plant: str) -> list[Unit]:
    """The units a plant can break: kernels only, and those cells it applies to."""
    from rnnbench.conformance.plants import get_plant

    found = get_plant(plant)
    kept = [u for u in units if u.target in KERNEL_TARGETS and found.applies(get_cell(u.cell))]
    if not kept:
        raise InputError(f"plant {plant} applies to nothing in this selection")
    return kept


def verify(units: list[Unit], plant: str = "", workers: int = 1) -> Iterator[Report]:
    """Run units in spawned workers, yielding each report as it is done.

    A worker that dies (a kernel that writes where it should not) fails what was running then, and
    the rest goes on in new workers.
    """
    check_count("workers", workers)
    simulate = any(u.target == "cuda" for u in units) and simulated()
    # Longest first, so that no worker is left with a long unit at the end.
    left = sorted(units, key=lambda u: (u.target in CHEAP_TARGETS, u.target, u.cell, u.dtype))
    while left:
        done = set()
        for report in run_pool(left, plant, min(workers, len(left)), simulate):
            done.add(report.unit)
            yield report
        survivors = [u for u in left if u not in done]
        if survivors and not done:  # it dies every time: one at a time shows which unit does it
            unit, *survivors = survivors
            alone = list(run_pool([unit], plant, 1, simulate))
            yield alone[0] if alone else Report(unit, crash=DIED)
        left = survivors


DIED = "the worker process died"


def run_pool(units: list[Unit], plant: str, workers: int, simulate: bool) -> Iterator[Report]:
    """Reports until all are done or a worker dies."""
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=prepare_worker,
        initargs=(simulate,),
    )
    try:
        waiting = [pool.submit(run_unit, unit, plant) for unit in units]
        for future in as_completed(waiting):
            yield future.result()
        pool.shutdown()  # or a worker may end after what it talks to
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
