"""The figure ``gradients``: what ways of taking a gradient cost beside the plain one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.tolerance import departs
from rnnbench.errors import InputError
from rnnbench.gradients.schedule import cost
from rnnbench.peers import ways
from rnnbench.peers.figures import Report, heading, in_turn, quotients, spread
from rnnbench.peers.growth import memory_added
from rnnbench.peers.memory import MEMORY
from rnnbench.peers.rounds import DISAGREES, FAILED, TIMED
from rnnbench.peers.ways import SCHEDULES, Way
from rnnbench.shapes import Shape, square

PIECE = 1000  # steps over which the prediction's parts are timed
LAYERS = square(50, 32, 128), square(50, 64, 256)


class Group(NamedTuple):
    """The plain way, the others, and the shapes where none is asked for."""

    plain: str
    others: tuple[str, ...]
    shapes: tuple[Shape, ...]


GROUPS = {
    "checkpointing": Group("full", ("sqrt", "optimal"), (square(20_000, 8, 128),)),
    "online": Group("bptt", ("rtrl",), tuple(square(20, 1, H) for H in (8, 16, 32, 64))),
    "scan": Group("bptt", ("scan",), tuple(square(T, 4, 64) for T in (100, 1000, 10_000))),
    "stacked": Group("one after the other", ("stack",), LAYERS),
    "bidirectional": Group("there and back", ("bidirectional",), LAYERS),
}
LINEAR = "sru_v1"  # a scan's cell, where none that is asked for is linear in its states
DEFINITION = (
    "ratio: time over the plain way's at the same shape, round by round. predicted: of a schedule, "
    f"from its forward steps with and without a tape and the times of these over {PIECE} steps. "
    "states, taped: the most states stored and steps on tapes at a time. sqrt: segments of √T "
    f"steps; optimal: {ways.STORED} states, {ways.LEAF} steps taped at once. {MEMORY}"
)


def measure(
    names: Sequence[str], shapes: Sequence[Shape], threads: int, rounds: int, report: Report
) -> list[dict]:
    """A row for each way. shapes: () for each group's own."""
    rows = []
    for name, group in GROUPS.items():
        for cell in cells_of(name, names):
            for shape in shapes or group.shapes:
                if group.shapes is LAYERS:  # one layer's output is the next one's input
                    shape = shape._replace(I=shape.H)
                report(f"{name}: {cell} {shape.name}")
                chosen = [Way.of(cell, shape, way) for way in (group.plain, *group.others)]
                rows += group_rows(name, chosen, threads, rounds)
    return rows


def cells_of(group: str, names: Sequence[str]) -> Sequence[str]:
    """Those of the names that the group is about."""
    if group != "scan":
        return names
    return [name for name in names if get_cell(name).spec.scan] or [LINEAR]


def group_rows(group: str, chosen: list[Way], threads: int, rounds: int) -> list[dict]:
    """The plain way's row first; the others are timed only where they agree with it."""
    rows, fit, expected = [], [], None
    for way in chosen:
        rows.append({"group": group, "way": way.way} | heading(way))
        try:
            run = ways.prepare(way, threads)[0]
            arrays = run()
        except (InputError, MemoryError) as error:
            rows[-1] |= {"status": FAILED, "reason": str(error)}
        else:
            expected = expected or arrays
            wrong = disagreement(way, arrays, expected)
            rows[-1] |= {"status": DISAGREES, "reason": wrong} if wrong else {"status": TIMED}
            fit += [] if wrong else [(way, rows[-1], run)]
    if rows[0]["status"] != TIMED:
        return [row | {"status": FAILED, "reason": "the plain way failed"} for row in rows]
    pieces = []
    if chosen[0].way in SCHEDULES:
        pieces = ways.parts(chosen[0], threads, min(PIECE, chosen[0].shape.T))
    timed = in_turn([run for *_, run in fit] + pieces, rounds)
    parts = list(zip(*timed[len(fit) :], strict=True))
    for (way, row, _), own in zip(fit, timed, strict=False):
        row |= {"seconds": spread(own), "ratio": quotients(own, timed[0])}
        row["memory"] = memory_added(way, threads, ways.__name__)
        if way.way in SCHEDULES:
            row["predicted"] = spread(ways.predicted(way, list(one)) for one in parts)
            steps = cost(SCHEDULES[way.way](way.shape.T))
            row |= {"states": steps.states, "taped": steps.taped}
    return rows


def disagreement(way: Way, got: dict, expected: dict) -> str:
    """Where the way's arrays are further from the plain way's than two roundings may be."""
    sizes = way.shape._asdict()
    for name in got.keys() & expected.keys():
        scale = max(1.0, float(np.abs(expected[name]).max()))
        if departs(got[name] / scale, expected[name].astype(np.float64) / scale, np.float32,
                   sizes).any():  # fmt: skip
            return f"{name} is off by up to {np.abs(got[name] - expected[name]).max():.1e}"
    return "" if got.keys() & expected.keys() else "no array in common"
