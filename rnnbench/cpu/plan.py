"""From a spec to what the drivers loop over. Everything a driver knows of a cell stands here.

A *run* is a term, or the part of one, whose slots lie side by side in memory: one packed matrix,
one tile. A stage's slots are laid out in the order that makes the fewest runs.
"""

import functools
from dataclasses import dataclass
from itertools import permutations

from rnnbench.spec import INPUT, Cell, CellSpec, Stage

MOST_SLOTS = 6  # up to here all orders are tried


@dataclass(frozen=True)
class Run:
    """slots [slot, slot+len(gates)) of a stage += parameter[gates] · source."""

    stage: int
    parameter: str
    gates: tuple[int, ...]  # row blocks of the parameter, in slot order
    slot: int  # place in memory
    source: int  # index into the sources; -1 is x
    shift: int  # 1: the state as an earlier stage of this step left it


@dataclass(frozen=True)
class Plan:
    """``sources`` are the state histories, then the products, by name."""

    cell: Cell
    sources: tuple[str, ...]
    widths: tuple[str, ...]  # of each source
    orders: tuple[tuple[int, ...], ...]  # each stage's slots' places in memory
    runs: tuple[Run, ...]  # from x first
    biases: tuple[tuple[int, str, int, int], ...]  # stage, parameter, gate, place
    copies: tuple[tuple[int, int], ...]  # stage, place: where x itself is added

    @property
    def input_runs(self) -> int:
        """How many of the runs are from x."""
        return sum(r.source < 0 for r in self.runs)

    @property
    def n_states(self) -> int:
        return len(self.cell.spec.states)

    @property
    def uses(self) -> list[tuple[int, int]]:
        """The distinct (source, shift) that runs read."""
        return sorted({(r.source, r.shift) for r in self.runs})


def stage_outputs(spec: CellSpec, k: int) -> tuple[list[int], list[int]]:
    """Source indices of the products and of the states a stage writes."""
    before = sum(len(s.products) for s in spec.stages[:k])
    first = len(spec.states) + before
    products = list(range(first, first + len(spec.stages[k].products)))
    return products, [spec.state_names.index(name) for name in spec.stages[k].states]


def adjacent(places, gates) -> list[tuple[int, list[int]]]:
    """(first place, gates) of each group of neighbours."""
    groups: list[tuple[int, list[int]]] = []
    for place, gate in sorted(zip(places, gates, strict=True)):
        if groups and place == groups[-1][0] + len(groups[-1][1]):
            groups[-1][1].append(gate)
        else:
            groups.append((place, [gate]))
    return groups


def slot_order(stage: Stage) -> tuple[int, ...]:
    """The place of each slot in memory, such that terms have their slots side by side."""
    slots = range(len(stage.slots))
    if len(slots) > MOST_SLOTS:
        return tuple(slots)
    wanted = [
        [stage.slots.index(s) for s in t.slots] for t in stage.terms if t.parameter and t.source
    ]

    def runs(order) -> int:
        return sum(len(adjacent([order[s] for s in slots], slots)) for slots in wanted)

    return min(permutations(slots), key=runs)  # the first of the best: nothing moves needlessly


@functools.cache
def make_plan(cell: Cell) -> Plan:
    """The plan of a cell."""
    spec = cell.spec
    names = list(spec.state_names)
    widths = [s.width for s in spec.states]
    for stage in spec.stages:
        names += stage.products
        widths += [stage.width] * len(stage.products)
    orders = tuple(slot_order(stage) for stage in spec.stages)
    runs, biases, copies = [], [], []
    for k, stage in enumerate(spec.stages):
        for term in stage.terms:
            places = [orders[k][stage.slots.index(slot)] for slot in term.slots]
            if not term.parameter:
                copies += [(k, place) for place in places]
                continue
            parameter = spec.parameter(term.parameter)
            gates = [parameter.gates.index(g) for g in term.gates]
            if not term.source:
                biases += [(k, parameter.name, g, p) for g, p in zip(gates, places, strict=True)]
                continue
            plain = term.source.removesuffix("'") if term.source not in names else term.source
            source = -1 if plain == INPUT else names.index(plain)
            shift = int(plain != term.source)
            for place, group in adjacent(places, gates):
                runs.append(Run(k, parameter.name, tuple(group), place, source, shift))
    runs.sort(key=lambda r: r.source >= 0)
    return Plan(
        cell, tuple(names), tuple(widths), orders, tuple(runs), tuple(biases), tuple(copies)
    )
