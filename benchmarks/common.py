"""What is benchmarked and how it is prepared, shared by asv and pytest-benchmark.

The call that is timed is ``rnnbench.peers.ours``'s, the one that ``rnnbench compare`` times.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from rnnbench import cell_names, get_cell
from rnnbench.conformance.features import representatives
from rnnbench.cpu.threads import available
from rnnbench.peers import ANY_CELL, OURS, PEERS, choose_peers, load_peer, ours
from rnnbench.peers.rounds import Comparison
from rnnbench.peers.workload import DIRECTIONS, TRAIN, Workload
from rnnbench.shapes import SMALL, TINY, Shape, get_shape
from rnnbench.target import reference_cell


def first_of_peers() -> list[str]:
    """The first cell of each family that another library has: what ``compare`` compares."""
    peers = [load_peer(name) for name in PEERS if name not in ANY_CELL]
    first: dict[str, str] = {}
    for name in cell_names():
        if any(peer.offers(name, d) for peer in peers for d in DIRECTIONS):
            first.setdefault(get_cell(name).spec.family, name)
    return list(first.values())


@dataclass(frozen=True)
class Profile:
    """every_cell: the shapes at which many cells run, those of ``cells``; every_shape: many
    shapes, at which those of ``few`` run."""

    every_cell: tuple[Shape, ...]
    every_shape: tuple[Shape, ...]
    cells: Callable[[], list[str]] = cell_names
    few: Callable[[], list[str]] = first_of_peers


PROFILES = {
    "tiny": Profile(TINY[:1], TINY, representatives, lambda: representatives()[:1]),
    "regular": Profile((get_shape("T50B32H128"),), SMALL),
    "full": Profile((get_shape("T50B32H128"),), SMALL, few=cell_names),
}
VARIABLE = "RNNBENCH_PROFILE"


def profile() -> Profile:
    """The one that the environment asks for; regular if none."""
    name = os.environ.get(VARIABLE) or "regular"
    if name not in PROFILES:
        raise ValueError(f"{VARIABLE} is {name!r}; allowed: {', '.join(PROFILES)}")
    return PROFILES[name]


def is_tiny() -> bool:
    """Are the benchmarks only to be seen running?"""
    return profile() is PROFILES["tiny"]


def every_cell() -> tuple[list[str], list[str]]:
    """Names of cells and of shapes, to be crossed: all cells, few shapes."""
    return profile().cells(), [s.name for s in profile().every_cell]


def every_shape() -> tuple[list[str], list[str]]:
    """Few cells, all shapes."""
    return profile().few(), [s.name for s in profile().every_shape]


def workload(cell: str, shape: str, direction: str) -> Workload:
    return Workload(cell, get_shape(shape), direction)


def prepare(cell: str, shape: str, direction: str):
    """The call to be timed, on all processors. Nothing has run yet."""
    return ours.prepare(workload(cell, shape, direction), threads=None)


def disagreement(cell: str, shape: str) -> str:
    """Compile, run once and compare with the reference in float64; empty where they agree."""
    for direction in DIRECTIONS:
        run, arrays = prepare(cell, shape, direction)
        wrong = workload(cell, shape, direction).disagreement(arrays(run()))
        if wrong:
            return f"{direction}: {wrong}"
    return ""


def key(cell: str, shape: str) -> str:
    return f"{cell} {shape}"


def check_all() -> dict[str, str]:
    """``disagreement`` of every pair that any benchmark of this profile asks for."""
    grids = every_cell(), every_shape()
    found = {}
    for cell, shape in dict.fromkeys(p for cells, shapes in grids for p in product(cells, shapes)):
        try:
            found[key(cell, shape)] = disagreement(cell, shape)
        except Exception as error:  # one broken cell must not stop the others
            found[key(cell, shape)] = f"{type(error).__name__}: {error}"
    return found


def reference(cell: str, shape: str, direction: str):
    """The slow side on the same data, in float32 too."""
    import rnnbench_reference

    case, slow = workload(cell, shape, direction).case(), reference_cell(cell)

    def run():
        result = rnnbench_reference.forward(
            slow, case.params, case.x, case.state, None, case.inputs
        )
        if direction == TRAIN:
            rnnbench_reference.backward(result.tape, case.dy)

    return run


def digits(value: float) -> float:
    """Four significant digits, so that asv's tables can be read."""
    return float(f"{value:.4g}")


def others() -> list[str]:
    """The other libraries that are installed here."""
    return [name for name in choose_peers() if name != OURS]


def peer_speedup(cell: str, shape: str, direction: str) -> float:
    """How many times as fast as the fastest of them we are; NaN where none offers the cell."""
    with Comparison([OURS, *others()], available(), rounds=3) as comparison:
        result = comparison.run(workload(cell, shape, direction))
    fastest = result.fastest_peer()
    return result.speedup(fastest) if fastest else math.nan
