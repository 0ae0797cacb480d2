"""Where everything of a step stands in the vectors that online algorithms carry.

Letters: n all units of all states; R all places where trained numbers enter a step, unit by unit
(the slots that a term of a parameter feeds, and the per-unit values of the maths); C everything
that is multiplied there (x, states, products, and one constant 1); N entries, the pairs (row of
R, column of C) that the cell has. The gradient at every parameter is a sum of entries: what a
slot multiplies by a matrix is linear in its source, so that ∂s'/∂(entry r, c) = ∂s'/∂z_r · source_c
for the slot's value z_r. A parameter that stands in several places (or, a scalar, at every unit)
has several entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.linearised import matrix_sources
from rnnbench.spec import MATRIX, SCALAR, CellSpec, Parameter, Stage, Term

ONE = ""  # the name of the constant source, as a bias's term has it


class Use(NamedTuple):
    """Where entries of one place stand in a parameter: ``parameter[index]`` is the place's
    ``entries[:, columns]``; for a scalar every unit's entry is the same number."""

    parameter: str
    index: slice | int | tuple[()]
    columns: slice | int
    scalar: bool = False


class Place(NamedTuple):
    """One slot or per-unit value. rows: of R; columns (c,): of C; entries: of N, (rows, c) row by
    row."""

    rows: slice
    columns: np.ndarray
    entries: slice
    uses: tuple[Use, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, len(self.columns)


@dataclass(frozen=True, eq=False)
class Layout:
    """states: name -> slice of n; sources: name -> slice of C; places: in the order of the stages;
    slots: (stage, slot) -> index of its place; units: (stage, row of ``spec.unit_rows``) -> index.
    """

    spec: CellSpec
    sizes: Mapping[str, int]
    states: dict[str, slice]
    sources: dict[str, slice]
    places: tuple[Place, ...]
    slots: dict[tuple[int, str], int]
    units: dict[tuple[int, int], int]

    @property
    def n(self) -> int:
        return last(self.states)

    @property
    def C(self) -> int:
        return last(self.sources)

    @property
    def R(self) -> int:
        return self.places[-1].rows.stop

    @property
    def N(self) -> int:
        return self.places[-1].entries.stop

    def split(self, entries: np.ndarray) -> list[np.ndarray]:
        """(…, N) as one view (…, rows, c) a place."""
        lead = entries.shape[:-1]
        return [entries[..., p.entries].reshape(*lead, *p.shape) for p in self.places]

    def collect(self, entries: np.ndarray) -> dict[str, np.ndarray]:
        """(N,) as gradients of the parameters that the steps use: name -> array."""
        found = {p.name: np.zeros(p.shape(self.sizes), entries.dtype) for p in self.spec.parameters}
        for place, values in zip(self.places, self.split(entries), strict=True):
            for use in place.uses:
                given = values[:, use.columns]
                found[use.parameter][use.index] += given.sum() if use.scalar else given
        return found

    def spread(self, params: Mapping[str, np.ndarray], dtype) -> np.ndarray:
        """Numbers in the parameters' shapes as entries (N,): the adjoint of ``collect``."""
        entries = np.zeros(self.N, dtype)
        for place, values in zip(self.places, self.split(entries), strict=True):
            for use in place.uses:
                values[:, use.columns] += params[use.parameter][use.index]
        return entries


def last(slices: Mapping[str, slice]) -> int:
    """Where the last of adjacent slices ends."""
    return [at.stop for at in slices.values()][-1]


def adjacent(widths: Mapping[str, int]) -> dict[str, slice]:
    """Name -> slice, one after another."""
    found, first = {}, 0
    for name, width in widths.items():
        found[name] = slice(first, first + width)
        first += width
    return found


def layout_of(spec: CellSpec, sizes: Mapping[str, int]) -> Layout:
    """The layout of a cell with these sizes (letter -> width)."""
    letters = {"x": "I"} | {s.name: s.width for s in spec.states}
    for stage in spec.stages:
        letters |= {f"{name}'": stage.width for name in stage.states}
        letters |= dict.fromkeys(stage.products, stage.width)
    widths = {name: sizes[letters[name]] for name in matrix_sources(spec)}
    if any(not t.source for s in spec.stages for t in s.terms) or any(s.units for s in spec.stages):
        widths[ONE] = 1
    sources = adjacent(widths)
    places, slots, units = Places(sources), {}, {}
    for k, stage in enumerate(spec.stages):
        width = sizes[stage.width]
        for slot in stage.slots:
            fed = feeds(stage, slot)
            if fed:
                names = list(dict.fromkeys(term.source for term, _ in fed))
                uses = [use(spec, term, gate, names, sources, width) for term, gate in fed]
                slots[k, slot] = places.add(width, names, uses)
        for j, (name, row) in enumerate(spec.unit_rows(k)):
            scalar = spec.parameter(name).kind == SCALAR
            one = Use(name, () if scalar else row, 0, scalar)
            units[k, j] = places.add(width, [ONE], [one])
    states = adjacent({s.name: sizes[s.width] for s in spec.states})
    return Layout(spec, sizes, states, sources, tuple(places.found), slots, units)


def feeds(stage: Stage, slot: str) -> list[tuple[Term, str]]:
    """The parameters' terms of a slot, each with the gate whose row block it takes."""
    return [
        (term, gate)
        for term in stage.terms
        if term.parameter
        for gate, fed in zip(term.gates, term.slots, strict=True)
        if fed == slot
    ]


def block_rows(p: Parameter, gate: str, width: int) -> slice:
    """The rows of a gate in a matrix or a bias."""
    first = p.gates.index(gate) * width
    return slice(first, first + width)


def use(spec: CellSpec, term: Term, gate: str, names: list[str], sources, width: int) -> Use:
    """Where a gate's row block stands among the columns of the slot that it feeds."""
    p = spec.parameter(term.parameter)
    rows = block_rows(p, gate, width)
    inside = adjacent({name: sources[name].stop - sources[name].start for name in names})
    columns = inside[term.source]
    return Use(p.name, rows, columns if p.kind == MATRIX else columns.start)


class Places:
    """Places, one after another."""

    def __init__(self, sources: dict[str, slice]):
        self.sources, self.found, self.rows, self.entries = sources, [], 0, 0

    def add(self, width: int, names: list[str], uses: list[Use]) -> int:
        spans = [np.arange(self.sources[name].start, self.sources[name].stop) for name in names]
        columns = np.concatenate(spans)
        rows = slice(self.rows, self.rows + width)
        entries = slice(self.entries, self.entries + width * len(columns))
        self.found.append(Place(rows, columns, entries, tuple(uses)))
        self.rows, self.entries = rows.stop, entries.stop
        return len(self.found) - 1
