"""SnAp-n, the sparse n-step approximation of RTRL: only the influence that n steps can make.

Menick, Elsen, Evci, Osindero, Simonyan & Graves 2021, arXiv:2006.07232, section 3. An entry of the
influence is kept where the parameter can reach the state within n steps: the pattern of
Σ_{k<n} Jᵏ Z. The recursion is RTRL's, with all else dropped at every step. SnAp-1 of a recurrence
without matrices, and SnAp-n once n steps reach everything, is RTRL.
"""

from itertools import pairwise

import numpy as np

from rnnbench.checks import check_count
from rnnbench.errors import InputError, shown
from rnnbench.gradients.online.algorithm import Algorithm, Network
from rnnbench.gradients.online.blocks import place_block
from rnnbench.gradients.online.layout import Layout
from rnnbench.gradients.online.local import Builder, LocalStep
from rnnbench.linearised import linearise
from rnnbench.params import random_case

FEW = 8  # states a parameter reaches: up to these, elementwise products are the quicker ones


class SnAp(Algorithm):
    """n: steps, 1 or more. sparse: entries of the (used) matrices that are exactly 0 when it
    starts count as no connection, as in the paper's sparse networks; else every matrix counts as
    full. Of an entry's influence only the m states it reaches are stored, and a step costs m².

    The mask is one of entries: where a parameter has several (a scalar has one a unit, a
    transformed matrix may use a number twice), each is kept where that entry alone can reach."""

    name = "snap"
    source = "Menick et al. 2021, arXiv:2006.07232, section 3"
    kind = "biased"
    time, memory = "m² P", "m P"  # m: the states that an entry reaches in n steps

    def __init__(self, n: int = 1, sparse: bool = False):
        if not isinstance(sparse, bool | np.bool_):
            raise InputError(f"sparse is {shown(sparse)}; needs True or False")
        self.n, self.sparse = check_count("n", n), bool(sparse)

    def start(self, network: Network) -> None:
        self.network = network
        self.groups = [
            Group(*found, network.batch, network.dtype)
            for found in grouped(network.layout, pattern(network, self.n, self.sparse))
        ]

    def advance(self, step: LocalStep) -> None:
        jacobian, injection = step.dense_jacobian(), step.dense_injection()
        for group in self.groups:
            group.advance(jacobian, injection, step.sources, self.network.target.matmul)

    def contract(self, ds: np.ndarray) -> np.ndarray:
        found = np.zeros(self.network.layout.N, ds.dtype)
        for group in self.groups:
            found[group.entries] = np.einsum("bgm,bgme->ge", ds[:, group.states], group.influence)
        return found


class Group:
    """Entries that reach the same states, stacked with those that reach as many.

    states (g,m); entries, their rows of R and their columns of C (g,e); influence (B,g,m,e).
    """

    def __init__(self, states, entries, rows, columns, batch: int, dtype):
        self.states, self.entries, self.rows, self.columns = states, entries, rows, columns
        self.influence = np.zeros((batch, *states.shape, entries.shape[1]), dtype)

    def advance(self, jacobian, injection, sources, matmul) -> None:
        reached = self.states[:, :, None]
        new = injection[:, reached, self.rows[:, None, :]]
        new *= sources[:, self.columns][:, :, None, :]
        inside = jacobian[:, reached, self.states[:, None, :]]  # (B,g,m,m)
        m = self.states.shape[1]
        if m <= FEW:
            for j in range(m):
                new += inside[..., j, None] * self.influence[:, :, None, j]
        else:
            for at in np.ndindex(inside.shape[:2]):
                new[at] += matmul(inside[at], self.influence[at])
        self.influence = new


def pattern(network: Network, n: int, sparse: bool = False) -> np.ndarray:
    """(n, R) bool: the states that each row of R can reach within so many steps."""
    layout = network.layout
    params = network.params if sparse else {k: np.ones_like(v) for k, v in network.params.items()}
    params = {name: (v != 0).astype(np.float64) for name, v in params.items()}
    slopes = [
        np.broadcast_to(
            seen[:, :, None, None], (*seen.shape, 1, layout.sizes[stage.width])
        ).astype(np.float64)
        for seen, stage in zip(slope_structure(network), layout.spec.stages, strict=True)
    ]  # fmt: skip
    # All numbers are ≥ 0, so nothing cancels: what is not 0 is connected.
    jacobian, injection = Builder(layout, params, slopes, np.matmul).run(None)
    J, Z = np.zeros((1, layout.n, layout.n)), np.zeros((1, layout.n, layout.R))
    for name, at in layout.states.items():
        for old, block in jacobian[name].items():
            place_block(J, at, layout.states[old], block)
        for i, block in injection[name].items():
            place_block(Z, at, layout.places[i].rows, block)
    step, first = J[0] > 0, Z[0] > 0
    found = first
    for _ in range(n - 1):
        wider = first | ((step.astype(np.float64) @ found) > 0)
        if (wider == found).all():
            break
        found = wider
    return found


def slope_structure(network: Network) -> list[np.ndarray]:
    """Which outputs of a stage's maths see which inputs, (outputs, inputs) bool a stage: where a
    slope is not 0 anywhere in a batch of random steps of this cell."""
    case = random_case(network.cell, T=3, B=32, I=3, H=5, ragged=False)
    forward = network.target.forward(*case.forward_arguments())
    slopes = linearise(network.target, forward.tape).slopes
    return [(slope != 0).any(axis=(2, 3, 4)) for slope in slopes]


def grouped(layout: Layout, reaches: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """(states, entries, rows, columns) of every ``Group``, from the pattern (n, R)."""
    rows, columns = entry_places(layout)
    sets, group_of_row = np.unique(reaches, axis=1, return_inverse=True)
    group_of_entry = group_of_row.reshape(-1)[rows]
    order = np.argsort(group_of_entry, kind="stable")
    edges = np.searchsorted(group_of_entry[order], np.arange(sets.shape[1] + 1))
    alike: dict[tuple[int, int], list] = {}
    for g, (first, end) in enumerate(pairwise(edges)):
        states = np.flatnonzero(sets[:, g])
        if states.size:
            entries = order[first:end]
            alike.setdefault((states.size, entries.size), []).append((states, entries))
    stacked = [[np.stack(part) for part in zip(*found, strict=True)] for found in alike.values()]
    return [(states, entries, rows[entries], columns[entries]) for states, entries in stacked]


def entry_places(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """The row of R and the column of C of every entry, (N,) each."""
    rows, columns = np.empty((2, layout.N), np.int64)
    for place, r, c in zip(layout.places, layout.split(rows), layout.split(columns), strict=True):
        r[...] = np.arange(place.rows.start, place.rows.stop)[:, None]
        c[...] = place.columns
    return rows, columns
