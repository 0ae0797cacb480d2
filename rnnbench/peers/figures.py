"""What the kernels promise, measured on this machine: ``rnnbench speed`` shows it.

A figure is a list of rows, dicts as the JSON has them. A row is timed only once its results agree
with the reference; ``status`` and ``reason`` are as in ``rounds.py``. Whatever is divided by one
another was timed in one process, in turn, round after round, and the quotients are taken round by
round. growth.py has the figure ``time``, start.py has ``start``.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.tolerance import departs
from rnnbench.params import Case
from rnnbench.peers import ours
from rnnbench.peers.rounds import DISAGREES, FAILED, TIMED
from rnnbench.peers.timing import PAUSE, median_seconds
from rnnbench.peers.workload import DIRECTIONS, FORWARD, Workload
from rnnbench.shapes import Shape

BASE = "lstm"  # what other cells are measured against
ONE_STAGE, MORE_STAGES = 1.3, 1.6
DEFINITIONS = {
    "cells": (
        "per_gate: time over multiply-adds, relative to the LSTM's at the same shape; an LSTM gate "
        "is H·(I+H) multiply-adds for each step and sequence, and every H·(I+H) of another cell's "
        "weight matrices count as a gate. per_slot: time over pre-activations computed (slots that "
        "a weight matrix feeds × their units), relative to the LSTM's. limit, of per_gate: "
        f"{ONE_STAGE} for cells of one stage, {MORE_STAGES} for those of more"
    ),
    "dtype": "ratio: the float64 rate over the float32 rate; half as many numbers fit a vector",
    "threads": "speedup: how many times as fast as on one thread",
    "steps": "microseconds of a time step, forward",
}
Report = Callable[[str], None]


class Unfit(Exception):
    """Not to be timed: ``status`` and, as its text, the reason."""

    def __init__(self, status: str, reason: str):
        super().__init__(reason)
        self.status = status

    def row(self) -> dict:
        return {"status": self.status, "reason": str(self)}


class Wide(Workload):
    """The same numbers in float64, judged as float64."""

    def case(self) -> Case:
        narrow = super().case()
        arrays = {
            name: {key: a.astype(np.float64) for key, a in getattr(narrow, name).items()}
            for name in ("params", "state", "inputs")
        }
        x, dy = narrow.x.astype(np.float64), narrow.dy.astype(np.float64)
        return Case(narrow.cell, x=x, dy=dy, lengths=None, dstate={}, **arrays)

    def disagreement(self, arrays: dict[str, np.ndarray]) -> str:
        for name, want in self.expected().items():
            got = arrays.get(name)
            if got is None or got.shape != want.shape:
                return f"{name} is missing or of another shape"
            if departs(got, want, np.float64, self.shape._asdict()).any():
                return f"{name} is off by up to {np.abs(got - want).max():.1e}"
        return ""


def checked(workload: Workload, threads: int) -> Callable[[], object]:
    """The call to be timed. Unfit where its result departs from the reference's, or it raises."""
    try:
        run, arrays = ours.prepare(workload, threads)
        wrong = workload.disagreement(arrays(run()))
    except Exception as error:  # one broken cell must not stop the others
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise Unfit(FAILED, reason) from error
    if wrong:
        raise Unfit(DISAGREES, wrong)
    return run


def in_turn(runs: Sequence[Callable], rounds: int) -> list[list[float]]:
    """The seconds of each round, for each call; round after round, each is timed in turn."""
    time.sleep(PAUSE)  # the reference's BLAS has threads that spin on
    seconds = [[median_seconds(run) for run in runs] for _ in range(rounds)]
    return [list(one) for one in zip(*seconds, strict=True)]


def spread(values: Iterable[float]) -> dict:
    """Median, lowest, highest, and all, a value a round."""
    values = list(values)
    middle = statistics.median(values)
    return {"median": middle, "low": min(values), "high": max(values), "rounds": values}


def quotients(one: Sequence[float], other: Sequence[float], scale: float = 1.0) -> dict:
    """The spread of one over other, round by round."""
    return spread(scale * a / b for a, b in zip(one, other, strict=True))


def heading(workload: Workload) -> dict:
    """What a row is about."""
    shape = {"name": workload.shape.name} | workload.shape._asdict()
    return {"cell": workload.cell, "shape": shape, "direction": workload.direction}


def gflops(workload: Workload, seconds: float) -> float:
    return workload.flops() / seconds / 1e9


def slot_units(workload: Workload) -> int:
    """Pre-activations of one step of one sequence, those that a weight matrix feeds."""
    _, _, I, H = workload.shape
    spec = get_cell(workload.cell).spec
    sizes, count = spec.sizes(I, H), 0
    for stage in spec.stages:
        fed = {slot for t in stage.terms if t.parameter and t.source for slot in t.slots}
        count += len(fed) * sizes[stage.width]
    return count


def cells(names: Sequence[str], shapes: Sequence[Shape], threads: int, rounds: int, report: Report):
    """Every cell against the LSTM at the same shape, forward and train."""
    rows = []
    for shape in shapes:
        bases: dict = {}  # the LSTM's shape is the cell's, which may have changed I
        for name in names:
            for direction in DIRECTIONS:
                workload = Workload(name, shape, direction)
                report(f"{name} {workload.shape.name} {direction}")
                base = Workload(BASE, workload.shape, direction)
                rows.append(heading(workload))
                try:
                    if base not in bases:
                        bases[base] = checked(base, threads)
                    run = checked(workload, threads)
                except Unfit as unfit:
                    rows[-1] |= unfit.row()
                else:
                    theirs, own = in_turn([bases[base], run], rounds)
                    rows[-1] |= against(workload, base, own, theirs)
    return rows


def against(workload: Workload, base: Workload, own: list[float], theirs: list[float]) -> dict:
    """A cell's row, from the seconds of its rounds and of the LSTM's."""
    stages, seconds = len(get_cell(workload.cell).spec.stages), spread(own)
    per_gate = quotients(own, theirs, base.flops() / workload.flops())
    limit = ONE_STAGE if stages == 1 else MORE_STAGES
    return {
        "status": TIMED,
        "stages": stages,
        "flops": workload.flops(),
        "slot_units": slot_units(workload),
        "seconds": seconds,
        "lstm_seconds": spread(theirs),
        "gflops": gflops(workload, seconds["median"]),
        "per_gate": per_gate,
        "per_slot": quotients(own, theirs, slot_units(base) / slot_units(workload)),
        "limit": limit,
        "within": per_gate["median"] <= limit,
    }


def pairs(names, shapes, directions=DIRECTIONS) -> list[Workload]:
    """Both directions of a cell and shape follow each other: they share the reference's result."""
    return [Workload(n, s, d) for n in names for s in shapes for d in directions]


def dtype(names: Sequence[str], shapes: Sequence[Shape], threads: int, rounds: int, report: Report):
    """float64 against float32."""
    rows = []
    for narrow in pairs(names, shapes):
        wide = Wide(narrow.cell, narrow.shape, narrow.direction)
        report(f"{narrow.cell} {narrow.shape.name} {narrow.direction}")
        rows.append(heading(narrow))
        try:
            runs = [checked(one, threads) for one in (narrow, wide)]
        except Unfit as unfit:
            rows[-1] |= unfit.row()
            continue
        single, double = in_turn(runs, rounds)
        rows[-1] |= {"status": TIMED, "float32": spread(single), "float64": spread(double)}
        rows[-1]["ratio"] = quotients(single, double)
    return rows


def threads(names: Sequence[str], shapes: Sequence[Shape], most: int, rounds: int, report: Report):
    """``most`` threads against one."""
    rows = []
    for workload in pairs(names, shapes):
        report(f"{workload.cell} {workload.shape.name} {workload.direction}")
        rows.append(heading(workload) | {"threads": most})
        try:
            runs = [checked(workload, count) for count in (1, most)]
        except Unfit as unfit:
            rows[-1] |= unfit.row()
            continue
        one, many = in_turn(runs, rounds)
        rows[-1] |= {"status": TIMED, "one": spread(one), "all": spread(many)}
        rows[-1]["speedup"] = quotients(one, many)
    return rows


def steps(names: Sequence[str], shapes: Sequence[Shape], threads: int, rounds: int, report: Report):
    """Forward, by the step; all cells at a shape are timed in turn."""
    rows = []
    for shape in shapes:
        timed, runs = [], []
        for workload in pairs(names, [shape], [FORWARD]):
            report(f"{workload.cell} {workload.shape.name}")
            rows.append(heading(workload))
            try:
                runs.append(checked(workload, threads))
            except Unfit as unfit:
                rows[-1] |= unfit.row()
            else:
                timed.append((workload, rows[-1]))
        for (workload, row), seconds in zip(timed, in_turn(runs, rounds), strict=True):
            row |= {"status": TIMED, "microseconds": spread(1e6 * s / shape.T for s in seconds)}
            row["gflops"] = gflops(workload, statistics.median(seconds))
    return rows
