"""Sparse attentive backtracking: a recurrent layer that is reminded of a few of its past states.

    ĥ_t = the layer's state h after step t, from x_t and the states of step t−1
    a_i = score(ĥ_t, m_i)                  for every memory m_i
    w   = weights of the top_k largest a_i, all others 0            ``sparse``
    s_t = Σ_i w_i m_i;   h_t = ĥ_t + s_t
    every ``every`` steps: h_t becomes a memory

Ke et al., "Sparse attentive backtracking: temporal credit assignment through reminding",
arXiv:1809.03702, sections 3.1 and 3.2, their k_att = every, k_top = top_k, k_trunc = truncation;
their score vᵀ tanh(W ĥ + U m) is ``Additive``. A gradient goes from a step to the states it was
reminded of, however far back, and from each along the recurrence as far as the nearest edge: the
states carried into steps k_trunc, 2 k_trunc, … are constants (their code: one step earlier). With
no edge and all scores kept it is the full gradient of this graph.

Letters: T time steps, B batch, M memories, H the width of h.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_count
from rnnbench.errors import InputError, shown
from rnnbench.layers.attention import Attention
from rnnbench.layers.decoding import check_attention
from rnnbench.layers.layer import Array, Arrays, Gradients, Layer, Result, joined, part
from rnnbench.layers.networks import attention_data, attention_from
from rnnbench.layers.sparse import Weights, check_weighting, sparse_backward, sparse_weights
from rnnbench.layers.stepping import Steps, check_causal, state_named


class Reading(NamedTuple):
    """query (1,B,H), ĥ; kept, by the scores for their way back; weights."""

    query: np.ndarray
    kept: object
    weights: Weights


class Inner(NamedTuple):
    """The tape. values (M,B,H) and keys (M,B,·): the memories; read: a step's Reading, or None."""

    steps: Steps
    name: str
    attention: Arrays
    values: np.ndarray
    keys: np.ndarray
    read: list


@dataclass(frozen=True, eq=False)
class SparseAttentive(Layer):
    """layer: a causal one; attention: the score. every: steps between memories. top_k: None, all.

    truncation: steps between edges; None: no edge. state: the name of h, by default the layer's
    output state. weighting: "softmax" or the paper's "shifted" (``sparse``). summary: whether y is
    [h_t; s_t] rather than h_t (the paper's output layer sees both).
    Parameters are named ``layer.…`` and ``attention.…``, states ``layer.…``. Not causal, as a
    layer: a sequence that is cut loses its memories, which are no states.
    """

    layer: Layer
    attention: Attention
    every: int = 1
    top_k: int | None = None
    truncation: int | None = None
    state: str | None = None
    weighting: str = "softmax"
    summary: bool = False

    causal = False

    def __post_init__(self):
        check_causal("layer", self.layer)
        check_attention(self.attention)
        check_count("every", self.every)
        for name in ("top_k", "truncation"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name))
        check_weighting(self.weighting)
        if not isinstance(self.summary, bool):
            raise InputError(f"summary is {shown(self.summary)}; allowed: True, False")

    def width(self, input_size: int) -> int:
        states = self.layer.states(1, input_size)
        return states[state_named(self.layer, self.state, states, "state")].shape[1]

    def output_size(self, input_size: int) -> int:
        return self.width(input_size) * (2 if self.summary else 1)

    def parameters(self, input_size: int) -> dict[str, Array]:
        width = self.width(input_size)
        attention = self.attention.parameters(width, width)
        return joined({"layer": self.layer.parameters(input_size), "attention": attention})

    def states(self, B: int, input_size: int) -> dict[str, Array]:
        return joined({"layer": self.layer.states(B, input_size)})

    def inputs(self, T: int, B: int, input_size: int) -> dict[str, Array]:
        return joined({"layer": self.layer.inputs(T, B, input_size)})

    def run(self, target, params, x, state, lengths, inputs, keep: bool) -> Result:
        T, B, I = x.shape
        given = self.layer.all_inputs(part(inputs, "layer"), T, B, I, x.dtype)
        steps = Steps(self.layer, target, part(params, "layer"), x.shape, lengths, given, keep)
        attention = part(params, "attention")
        if keep:  # the caller may write to them before the way back
            attention = {name: value.copy() for name, value in attention.items()}
        now = part(state, "layer")
        name = state_named(self.layer, self.state, now, "state")
        H = now[name].shape[1]
        values = np.zeros((T // self.every, B, H), x.dtype)
        keys, read = values, []
        y = np.zeros((T, B, 2 * H if self.summary else H), x.dtype)
        for t in range(T):
            _, now = steps.forward(t, x[t], now)
            M = t // self.every
            read.append(self.remind(steps, t, attention, now[name], keys[:M]))
            if M:
                s = np.einsum("bm,mbh->bh", read[t].weights.values, values[:M])
                s = steps.alive(t, s)
                now = now | {name: now[name] + s}
                if self.summary:
                    y[t, :, H:] = s
            y[t, :, :H] = steps.alive(t, now[name])
            if (t + 1) % self.every == 0:
                values[M] = y[t, :, :H]
                key = self.attention.keys(target, attention, values[M : M + 1])
                if M == 0:
                    keys = np.zeros((len(values), *key.shape[1:]), x.dtype)
                keys[M] = key[0]
        inner = Inner(steps, name, attention, values, keys, read)
        return Result(y, joined({"layer": now}), inner)

    def remind(self, steps: Steps, t: int, attention: Arrays, h, keys) -> Reading | None:
        """What step t is reminded of; None where there is no memory yet."""
        if not len(keys):
            return None
        query = steps.alive(t, h)[None]
        scores, kept = self.attention.scores(steps.target, attention, query, keys)
        return Reading(query, kept, sparse_weights(self.weighting, scores[0], self.top_k))

    def run_backward(self, inner: Inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        steps, name, attention, values, keys, _ = inner
        H, target = values.shape[2], steps.target
        dvalues, dkeys = np.zeros_like(values), np.zeros_like(keys)
        sums = {n: np.zeros_like(value) for n, value in attention.items()}
        dnow, dx, total = part(dstate, "layer"), [], None
        for t in reversed(range(len(dy))):
            M = t // self.every
            dh = dnow[name] + dy[t, :, :H]
            if (t + 1) % self.every == 0:
                # all who are reminded of it come later, so its gradient is complete
                memory = slice(M, M + 1)
                more, of_keys = self.attention.keys_backward(
                    target, attention, values[memory], dkeys[memory]
                )
                add(sums, more)
                dh = dh + steps.alive(t, dvalues[M] + of_keys[0])
            if M:
                ds = steps.alive(t, dh) + (dy[t, :, H:] if self.summary else 0)
                dh = dh + self.remind_backward(inner, t, ds, dvalues[:M], dkeys[:M], sums)
            # the layer's own output is not read, but through its state
            step_dx, dnow, total = steps.backward(t, steps.no_output(), dnow | {name: dh}, total)
            dx.append(step_dx)
            if t and self.truncation is not None and t % self.truncation == 0:
                dnow = cut(dnow, steps.running(t))
        params = joined({"layer": total, "attention": sums})
        return Gradients(params, np.stack(dx[::-1]), joined({"layer": dnow}))

    def remind_backward(self, inner: Inner, t: int, ds, dvalues, dkeys, sums) -> np.ndarray:
        """The gradient at ĥ_t from ds, that at s_t; adds to the others."""
        steps, (query, kept, weights), M = inner.steps, inner.read[t], len(dvalues)
        dvalues += np.einsum("bm,bh->mbh", weights.values, ds)
        dweights = np.einsum("bh,mbh->bm", ds, inner.values[:M])
        dscores = sparse_backward(self.weighting, weights, dweights)
        more, dquery, dmore = self.attention.scores_backward(
            steps.target, inner.attention, query, inner.keys[:M], kept, dscores[None]
        )
        dkeys += dmore
        add(sums, more)
        return dquery[0]

    def settings(self) -> dict[str, object]:
        return super().settings() | {"attention": attention_data(self.attention)}

    @classmethod
    def from_settings(cls, attention, **settings) -> "SparseAttentive":
        return cls(attention=attention_from(attention), **settings)


def add(sums: Arrays, more: Arrays) -> None:
    for name, value in more.items():
        sums[name] += value


def cut(dstate: Arrays, running: np.ndarray | None) -> Arrays:
    """No gradient across an edge. A sequence that has ended has no edge there: what reaches its
    final states still enters at its last step."""
    if running is None:
        return {name: np.zeros_like(d) for name, d in dstate.items()}
    return {name: np.where(running[:, None], 0, d) for name, d in dstate.items()}


class Reminded(NamedTuple):
    """What ``sparse_attentive`` gives: gradients of params, x and initial states; y (T,B,H);
    final states; weights (T,B,M), 0 for memories yet to come and past a sequence's end."""

    params: Arrays
    x: np.ndarray
    state: Arrays
    y: np.ndarray
    final: Arrays
    weights: np.ndarray


def sparse_attentive(
    target,
    layer: Layer,
    params: Mapping,
    x,
    upstream: np.ndarray | Callable,
    attention: Attention,
    top_k: int | None = None,
    truncation: int | None = None,
    every: int = 1,
    state: Mapping | None = None,
    lengths=None,
    dstate: Mapping | None = None,
    inputs: Mapping | None = None,
    **options,
) -> Reminded:
    """Forward and backward of ``SparseAttentive`` in one call. upstream: dy, or ``y -> dy``.

    options: of ``SparseAttentive``, but for state, which here are the initial states (B,width).
    The others as ``Layer.forward`` and ``Layer.backward`` take them.
    """
    model = SparseAttentive(layer, attention, every, top_k, truncation, **options)
    result = model.forward(target, params, x, state, lengths, inputs)
    dy = upstream(result.y) if callable(upstream) else upstream
    found = model.backward(result.tape, dy, dstate)
    return Reminded(*found, result.y, result.state, attention_weights(result.tape.inner))


def attention_weights(inner: Inner) -> np.ndarray:
    """(T,B,M), from the ``inner`` of a tape."""
    T, B, _ = inner.steps.shape
    found = np.zeros((T, B, len(inner.values)), inner.values.dtype)
    for t, read in enumerate(inner.read):
        if read is not None:
            values = read.weights.values
            found[t, :, : values.shape[1]] = inner.steps.alive(t, values)
    return found
