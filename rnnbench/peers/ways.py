"""Ways of taking one gradient, each as a call to be timed: schedules, online, scan, layers.

As a module it is driven like a peer (``rnnbench.peers``): its workloads say which way.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rnnbench.gradients import online
from rnnbench.gradients.checkpointing import optimal_checkpointing, sqrt_checkpointing
from rnnbench.gradients.runner import run as run_schedule
from rnnbench.gradients.scan import Scan
from rnnbench.gradients.schedule import Schedule, cost, full
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.peers.workload import TRAIN, Workload
from rnnbench.target import get_target

STORED, LEAF = 10, 100  # of optimal checkpointing: states, and steps that are taped at once
SCHEDULES: dict[str, Callable[[int], Schedule]] = {
    "full": full,
    "sqrt": sqrt_checkpointing,
    "optimal": lambda T: optimal_checkpointing(T, STORED, LEAF),
}


@dataclass(frozen=True)
class Way(Workload):
    """A training step in the way of that name; ``ways`` has them."""

    way: str = ""

    @classmethod
    def of(cls, cell: str, shape, way: str) -> "Way":
        return cls(cell, shape, TRAIN, way)


def prepare(way: Way, threads: int | None):
    """(run, arrays), as of a peer. arrays: those that all ways of a group give."""
    target, case = get_target("cpu", threads=threads), way.case()
    return ways()[way.way](target, case), lambda result: result


def ways() -> dict[str, Callable]:
    """Name -> (target, case) -> the call; it returns arrays by name."""
    return {name: scheduled(schedule) for name, schedule in SCHEDULES.items()} | {
        "bptt": plain,
        "rtrl": by_rtrl,
        "scan": lambda target, case: plain(Scan(target), case),
        "one after the other": one_after_the_other,
        "stack": stacked,
        "there and back": there_and_back,
        "bidirectional": bidirectional,
    }


def scheduled(schedule: Callable[[int], Schedule]) -> Callable:
    def make(target, case):
        steps = schedule(len(case.x))

        def call():
            found = run_schedule(
                steps, target, case.cell, case.params, case.x, case.dy, case.state,
                inputs=case.inputs,
            )  # fmt: skip
            return named(found.params) | {"dx": found.x}

        return call

    return make


def plain(target, case):
    arguments = case.forward_arguments()

    def call():
        found = target.backward(target.forward(*arguments).tape, case.dy)
        return named(found.params) | {"dx": found.x}

    return call


def by_rtrl(target, case):
    def call():
        found = online.run(
            "rtrl", target, case.cell, case.params, case.x, case.dy, case.state, inputs=case.inputs
        )
        return named(found.params)

    return call


def named(params, first: str = "d") -> dict[str, np.ndarray]:
    return {f"{first}{name}": value for name, value in params.items()}


# -- two layers: the parts alone, and as a layer. The input is as wide as the state. ---------------


def layers(case, make: Callable):
    H = case.dy.shape[2]
    return make(Recurrent(case.cell, H), Recurrent(case.cell, H))


def doubled(case, names: tuple[str, str]) -> dict[str, np.ndarray]:
    return {f"{n}.{key}": value for n in names for key, value in case.params.items()}


def one_after_the_other(target, case):
    def call():
        first = target.forward(case.cell, case.params, case.x)
        second = target.forward(case.cell, case.params, first.y)
        back = target.backward(second.tape, case.dy)
        begin = target.backward(first.tape, back.x)
        return named(begin.params, "d0.") | named(back.params, "d1.")

    return call


def by_layer(case, target, layer, params, dy):
    def call():
        found = layer.forward(target, params, case.x)
        return named(layer.backward(found.tape, dy).params)

    return call


def stacked(target, case):
    layer = layers(case, lambda a, b: Stack([a, b]))
    return by_layer(case, target, layer, doubled(case, ("0", "1")), case.dy)


def there_and_back(target, case):
    turned, dturned = (np.ascontiguousarray(a[::-1]) for a in (case.x, case.dy))

    def call():
        there = target.forward(case.cell, case.params, case.x)
        back = target.forward(case.cell, case.params, turned)
        ahead = target.backward(there.tape, case.dy)
        behind = target.backward(back.tape, dturned)
        return named(ahead.params, "dforward.") | named(behind.params, "dbackward.")

    return call


def bidirectional(target, case):
    layer = layers(case, Bidirectional)
    dy = np.concatenate([case.dy, case.dy], axis=2)
    return by_layer(case, target, layer, doubled(case, ("forward", "backward")), dy)


# -- what the recomputed steps of a schedule predict ----------------------------------------------


def parts(way: Way, threads: int | None, T: int) -> list[Callable]:
    """Calls over T steps: forward without a tape, with one, and backward."""
    target = get_target("cpu", threads=threads)
    case = replace(way, shape=way.shape._replace(T=T)).case()
    arguments, tape = case.forward_arguments(), target.forward(*case.forward_arguments()).tape
    return [
        lambda: target.forward(*arguments, tape=False),
        lambda: target.forward(*arguments),
        lambda: target.backward(tape, case.dy),
    ]


def predicted(way: Way, seconds: list[float]) -> float:
    """The time relative to full backpropagation, from the seconds of ``parts``."""
    bare, taped, back = seconds
    T = way.shape.T
    steps = cost(SCHEDULES[way.way](T))
    kept = sum(s.t1 - s.t0 for s in SCHEDULES[way.way](T) if getattr(s, "keep", False))
    return ((steps.forward - kept) * bare + kept * taped + T * back) / (T * (taped + back))
