"""Blocks of backpropagation, carried from one to the next by real-time recurrent learning.

Schmidhuber 1992, "A fixed size storage O(n³) time complexity learning algorithm for fully
recurrent continually running networks", Neural Computation 4:243-248. In a block of k steps from
t0 to t1, with s the states, θ the parameters and L the block's losses,

    dL/dθ = ∂L/∂θ + ∂L/∂s_t0 · ds_t0/dθ         (∂: through the block alone)
    ds_t1/dθ = ∂s_t1/∂θ + ∂s_t1/∂s_t0 · ds_t0/dθ

and both partial derivatives are backpropagation through the block: of its losses, and of each unit
of s_t1 in turn. The influence ds/dθ is updated once a block in place of once a step, so memory
does not grow with T and nothing is cut: the gradient is that of full backpropagation.
"""

from collections.abc import Callable, Mapping

import numpy as np

from rnnbench.checks import check_count
from rnnbench.gradients.chunks import Upstream, check_sequence, chunks_of
from rnnbench.gradients.ends import check_ends
from rnnbench.gradients.runner import Run
from rnnbench.layers.layer import Layer
from rnnbench.spec import Cell


def hybrid(
    target,
    cell: str | Cell | Layer,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    upstream: np.ndarray | Callable,
    k: int,
    state: Mapping[str, np.ndarray] | None = None,
    lengths=None,
    dstate: Mapping[str, np.ndarray] | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Run:
    """The gradient of ``run(full(T), …)`` in blocks of k steps; the last may be shorter.

    Arguments and result as of ``runner.run``, but x of the result is None: the gradient at a step
    of an earlier block would need what is not kept of it. With S the numbers in a sequence's
    states and N the parameters', a sequence takes S backward passes a block and S·(N + S) numbers
    of memory. InputError as of ``run``.
    """
    x = check_sequence(x)
    T, B, _ = x.shape
    k = check_count("k", k)
    chunks = chunks_of(target, cell, params, x, lengths, inputs, whole=k >= T)
    wanted, y = Upstream(upstream, T), None
    check_ends(chunks, upstream, dstate)
    for t0 in range(0, T, k):
        t1 = min(t0 + k, T)
        chunk = chunks.forward(t0, t1, state, True)
        y = np.empty((T, *chunk.y.shape[1:]), chunk.y.dtype) if y is None else y
        y[t0:t1] = chunk.y
        wanted.visit(t0, t1, chunk.y)
        found = chunks.backward(chunk.tape, wanted.take(t0, t1), dstate if t1 == T else None)
        final = chunk.final
        del chunk  # or its tape would live on beside those of single sequences
        if t0 == 0:
            total = Summed(found, final)
            influence = [total.at_start(x.dtype)] * B
        else:
            total.add_block(found.params)
            for b in range(B if final else 0):
                reaching = flat(found.state, final, b)[None]
                total.add_row(target.matmul(reaching, influence[b])[0], b)
        if t1 < T and final:
            for b in np.flatnonzero(chunks.lengths > t0):
                influence[b] = advanced(chunks, t0, t1, state, b, influence[b])
        state = final
    return Run(total.params, None, total.state, y, state, wanted.loss())


class Summed:
    """The gradients so far, of the first block at first.

    The influence of a sequence is (S, S + N): the derivative of its states with respect to its
    initial states and the parameters, in this order, each flat, the arrays one after another.
    """

    def __init__(self, found, states: Mapping[str, np.ndarray]):
        self.params = {name: np.array(g) for name, g in found.params.items()}
        self.state = {name: np.array(found.state[name]) for name in states}

    def at_start(self, dtype) -> np.ndarray:
        """The influence on the initial states themselves."""
        S = sum(v.shape[1] for v in self.state.values())
        return np.eye(S, S + sum(g.size for g in self.params.values()), dtype=dtype)

    def add_block(self, params: Mapping[str, np.ndarray]) -> None:
        for name, g in self.params.items():
            g += params[name]

    def add_row(self, row: np.ndarray, b: int) -> None:
        """``row`` (S + N,): a gradient at sequence b's states, times its influence."""
        place = 0
        for g in (*(v[b] for v in self.state.values()), *self.params.values()):
            g += row[place : place + g.size].reshape(g.shape)
            place += g.size


def flat(arrays: Mapping[str, np.ndarray], names, b: int | None = None) -> np.ndarray:
    """The arrays, or row b of each, one after another."""
    return np.concatenate([np.ravel(arrays[n] if b is None else arrays[n][b]) for n in names])


def advanced(chunks, t0: int, t1: int, state, b: int, before: np.ndarray) -> np.ndarray:
    """The influence on sequence b's states at t1, from that at t0.

    ``state``: the batch's states at t0. One backward pass for each unit of the states, of this
    sequence alone, for the gradients of a batch come summed.
    """
    rows = slice(b, b + 1)
    alone = {name: np.asarray(v)[rows] for name, v in (state or {}).items() if v is not None}
    chunk = chunks.forward(t0, t1, alone, True, rows)
    slopes, direct = [], []
    for name, value in chunk.final.items():
        for unit in range(value.shape[1]):
            one = np.zeros_like(value)
            one[0, unit] = 1
            found = chunks.backward(chunk.tape, None, {name: one})
            slopes.append(flat(found.state, chunk.final))
            direct.append(flat(found.params, found.params))
    influence = chunks.target.matmul(np.stack(slopes), before)
    influence[:, len(slopes) :] += np.stack(direct)
    return influence
