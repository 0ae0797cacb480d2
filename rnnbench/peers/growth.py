"""The figure ``time``: what a sequence T steps long costs, in time and in memory added."""

from collections.abc import Sequence

import numpy as np

from rnnbench.errors import InputError
from rnnbench.peers import OURS, PEERS
from rnnbench.peers.figures import Report, Unfit, checked, heading, in_turn, spread
from rnnbench.peers.memory import MEMORY
from rnnbench.peers.process import PeerError, PeerProcess
from rnnbench.peers.rounds import TIMED
from rnnbench.peers.workload import DIRECTIONS, Workload
from rnnbench.shapes import Shape, square

SHAPES = tuple(square(T, 8, 128) for T in (100, 215, 464, 1000, 2150, 4640, 10_000))
FEWEST = 3  # any two points lie on a line
DEFINITION = (
    "fit: the straight line through all lengths that makes the relative errors' squares least: "
    "per_step, intercept, r_squared (of the values themselves) and largest_residual, relative to "
    f"the measured value. {MEMORY}"
)


def check_lengths(shapes: Sequence[Shape]) -> None:
    """InputError unless the shapes are alike but for T, and enough for a line."""
    if len({s._replace(T=0) for s in shapes}) > 1 or len({s.T for s in shapes}) < FEWEST:
        raise InputError(
            f"time needs at least {FEWEST} lengths T of one B, I and H, such as T10B8H64 T20B8H64 "
            f"T40B8H64; shapes are {' '.join(s.name for s in shapes)}"
        )


def growth(
    names: Sequence[str], shapes: Sequence[Shape], threads: int, rounds: int, report: Report
):
    """A row for each cell and direction: its ``points``, and a line through each quantity."""
    rows = []
    for name in names:
        ready: dict[str, list] = {d: [] for d in DIRECTIONS}
        wrong: dict[str, Unfit] = {}
        for shape in sorted(shapes):
            for direction in DIRECTIONS:  # they share the reference's result
                report(f"{name} {shape.name} {direction}")
                workload = Workload(name, shape, direction)
                try:
                    ready[direction].append((workload, checked(workload, threads)))
                except Unfit as unfit:
                    wrong.setdefault(direction, unfit)
        for direction, entries in ready.items():
            rows.append({"cell": name, "direction": direction})
            if direction in wrong:
                rows[-1] |= wrong[direction].row()
                continue
            report(f"{name} {direction}, {rounds} rounds")
            points = []
            for (workload, _), seconds in zip(
                entries, in_turn([run for _, run in entries], rounds), strict=True
            ):
                report(f"memory of {name} {workload.shape.name} {direction}")
                added = memory_added(workload, threads)
                points.append(heading(workload) | {"seconds": spread(seconds), "memory": added})
            entries.clear()  # long sequences' memory goes first
            lengths = [p["shape"]["T"] for p in points]
            rows[-1] |= {"status": TIMED, "points": points, "fit": {}}
            for quantity, values in (
                ("seconds", [p["seconds"]["median"] for p in points]),
                ("memory", [p["memory"] for p in points]),
            ):
                rows[-1]["fit"][quantity] = straight_line(lengths, values)
    return rows


def memory_added(workload: Workload, threads: int, module: str = PEERS[OURS]) -> int | None:
    """Bytes that a first call adds, in a process of its own; None where that can't be measured."""
    process = PeerProcess(module, threads)
    try:
        return (process.memory(workload) or {}).get("memory")
    except PeerError:
        return None
    finally:
        process.close()


def straight_line(lengths: Sequence[int], values: Sequence[float | None]) -> dict | None:
    """``DEFINITION``'s fit. None where a value is missing or zero, or all are equal.

    Relative errors, for the longest sequence's noise alone may exceed the shortest one's time.
    """
    if not all(values) or len(set(values)) == 1:
        return None
    T, y = np.asarray(lengths, float), np.asarray(values, float)
    slope, intercept = np.polyfit(T, y, 1, w=1 / y)
    residuals = slope * T + intercept - y
    return {
        "per_step": slope,
        "intercept": intercept,
        "r_squared": 1 - np.sum(residuals**2) / np.sum((y - y.mean()) ** 2),
        "largest_residual": np.abs(residuals / y).max(),
    }
