"""One step of a batch as a linear map: s' by the states before it and by every place.

J = ∂s'/∂s (B,n,n), Z = ∂s'/∂z (B,n,R), built stage by stage from the slopes of the maths and the
matrices; ∂s'/∂(entry r, c) = Z[:, :, r] · source[:, c] (``layout.py`` has the letters).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnbench.gradients.online.blocks import Blocks, add, multiplied, place_block, scaled
from rnnbench.gradients.online.layout import ONE, Layout, adjacent, block_rows, feeds
from rnnbench.linearised import Linearised, outputs


@dataclass(frozen=True)
class LocalStep:
    """jacobian, injection: new state -> origin -> block; an origin is an old state's name, or the
    index of a place. sources (B,C). runs (B,): which sequences have this step, None where all do;
    the others keep their states (J = identity, Z = 0, sources 0)."""

    layout: Layout
    jacobian: dict[str, Blocks]
    injection: dict[str, Blocks]
    sources: np.ndarray
    runs: np.ndarray | None
    matmul: Callable

    def times(self, carried: np.ndarray) -> np.ndarray:
        """J · carried, (B,n,columns)."""
        states, new = self.layout.states, np.zeros_like(carried)
        for old, at in states.items():
            full = {}
            for name, blocks in self.jacobian.items():
                block = blocks.get(old)
                if block is None:
                    continue
                if block.ndim == 2:
                    new[:, states[name]] += block[:, :, None] * carried[:, at]
                else:
                    full[name] = block
            if full:
                inside = adjacent({name: block.shape[1] for name, block in full.items()})
                stacked = np.concatenate(list(full.values()), axis=1)
                for b, matrix in enumerate(stacked):
                    product = self.matmul(matrix, carried[b, at])
                    for name, rows in inside.items():
                        new[b, states[name]] += product[rows]
        return new

    def pull(self, v: np.ndarray) -> np.ndarray:
        """vᵀ Z: (B,n) -> (B,R)."""
        found = np.zeros((len(v), self.layout.R), v.dtype)
        for name, blocks in self.injection.items():
            part = v[:, self.layout.states[name]]
            for i, block in blocks.items():
                rows = self.layout.places[i].rows
                found[:, rows] += (
                    part * block if block.ndim == 2 else np.einsum("bn,bnr->br", part, block)
                )
        return found

    def push(self, z: np.ndarray) -> np.ndarray:
        """Z z: (B,R) -> (B,n)."""
        found = np.zeros((len(z), self.layout.n), z.dtype)
        for name, blocks in self.injection.items():
            for i, block in blocks.items():
                part = z[:, self.layout.places[i].rows]
                found[:, self.layout.states[name]] += (
                    block * part if block.ndim == 2 else np.einsum("bnr,br->bn", block, part)
                )
        return found

    def source(self, i: int) -> np.ndarray:
        """What place i multiplies, (B,c)."""
        return self.sources[:, self.layout.places[i].columns]

    def dense_jacobian(self) -> np.ndarray:
        """J (B,n,n)."""
        found = np.zeros((len(self.sources), self.layout.n, self.layout.n), self.sources.dtype)
        for name, blocks in self.jacobian.items():
            for old, block in blocks.items():
                place_block(found, self.layout.states[name], self.layout.states[old], block)
        return found

    def dense_injection(self) -> np.ndarray:
        """Z (B,n,R)."""
        found = np.zeros((len(self.sources), self.layout.n, self.layout.R), self.sources.dtype)
        for name, blocks in self.injection.items():
            for i, block in blocks.items():
                place_block(found, self.layout.states[name], self.layout.places[i].rows, block)
        return found

    def hold(self, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        """new (B,…) for the sequences that have this step, old for the others."""
        if self.runs is None:
            return new
        return np.where(self.runs.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def local_step(
    layout: Layout, linearised: Linearised, t: int, matmul: Callable, through_matrices: bool = True
) -> LocalStep:
    """Step t of a tape. through_matrices: False leaves out every path from the states before the
    step that passes through a matrix."""
    p = linearised.problem
    valid = None if p.valid is None else p.valid[t]
    read = {name: values[t] for name, values in linearised.sources.items()}
    read[ONE] = np.ones((p.B, 1), p.dtype)
    sources = np.concatenate([read[name] for name in layout.sources], axis=1)
    slopes = [slope[:, :, t] for slope in linearised.slopes]
    if valid is not None:
        sources = np.where(valid[:, None], sources, 0)
        slopes = [np.where(valid[:, None], slope, 0) for slope in slopes]
    found = Builder(layout, p.params, slopes, matmul, through_matrices).run(valid)
    return LocalStep(layout, *found, sources, valid, matmul)


class Builder:
    """Blocks through the stages of one step. params: the matrices that are used; slopes: a stage
    each, (outputs, inputs, B, width)."""

    def __init__(
        self,
        layout: Layout,
        params: Mapping[str, np.ndarray],
        slopes: Sequence[np.ndarray],
        matmul: Callable,
        through_matrices: bool = True,
    ):
        self.layout, self.params, self.slopes = layout, params, slopes
        self.matmul, self.through = matmul, through_matrices
        self.dtype = slopes[0].dtype
        # by the name of a state, product or new state, or the place of a save
        self.known: dict[object, Blocks] = {
            name: {name: np.ones((1, at.stop - at.start), self.dtype)}
            for name, at in layout.states.items()
        }

    def run(self, runs: np.ndarray | None) -> tuple[dict[str, Blocks], dict[str, Blocks]]:
        """(jacobian, injection) of ``LocalStep``."""
        for k in range(len(self.layout.spec.stages)):
            self.stage(k)
        jacobian, injection = {}, {}
        for name in self.layout.states:
            blocks = dict(self.known[f"{name}'"])
            if runs is not None:
                kept = np.where(runs[:, None], 0, np.ones_like(self.known[name][name]))
                add(blocks, name, kept.astype(self.dtype))
            jacobian[name] = {o: block for o, block in blocks.items() if isinstance(o, str)}
            injection[name] = {o: block for o, block in blocks.items() if not isinstance(o, str)}
        return jacobian, injection

    def stage(self, k: int) -> None:
        """Adds stage k's products, new states and saves to what is known."""
        spec = self.layout.spec
        stage = spec.stages[k]
        inputs = [self.slot(k, slot) for slot in stage.slots]
        inputs += [self.known[name] for name in spec.stage_states(k)]
        inputs += [self.known[place] for place in spec.earlier_saves(k)]
        width = self.layout.sizes[stage.width]
        inputs += [
            {self.layout.units[k, j]: np.ones((1, width), self.dtype)}
            for j in range(len(spec.unit_rows(k)))
        ]
        for name, row in zip(outputs(spec, k), self.slopes[k], strict=True):
            total: Blocks = {}
            for slope, blocks in zip(row, inputs, strict=True):
                if not slope.any():  # an output that does not see this input
                    continue
                for origin, block in blocks.items():
                    add(total, origin, scaled(slope, block))
            self.known[name] = total

    def slot(self, k: int, slot: str) -> Blocks:
        """What a slot depends on: its own place, and the sources of its terms. x is given."""
        spec, total = self.layout.spec, {}
        if (k, slot) in self.layout.slots:
            width = self.layout.sizes[spec.stages[k].width]
            total[self.layout.slots[k, slot]] = np.ones((1, width), self.dtype)
        for term, gate in feeds(spec.stages[k], slot):
            sources = self.known.get(term.source, {})
            p = spec.parameter(term.parameter)
            matrix = self.params[p.name][block_rows(p, gate, self.layout.sizes[p.width])]
            for origin, block in sources.items():
                if self.through or not isinstance(origin, str):
                    add(total, origin, multiplied(self.matmul, matrix, block))
        return total
