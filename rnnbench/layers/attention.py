"""Attention: at which steps of a source sequence a query looks, and what it sees there.

    α_ti = exp(e_ti) / Σ_j exp(e_tj)        over the source steps i that the mask allows
    c_t  = Σ_i α_ti h_i                     Bahdanau, Cho & Bengio, arXiv:1409.0473, eqs. 5 and 6

    e_ti        of a query q_t (Q,) and a source step h_i (K,)
    Additive    vᵀ tanh(W q_t + U h_i)      the same, appendix A.1.2; there q_t = s_{t−1}
    Dot         q_tᵀ h_i                    Luong, Pham & Manning, arXiv:1508.04025, section 3.1
    General     q_tᵀ W h_i                  the same; there q_t = h_t

What depends on the source alone (U h_i, W h_i) is computed once a source, as its ``keys``.
Letters: T queries a sequence, S source steps, B batch, Q and K their widths, A Additive's width.
Products within a sequence go through NumPy's own einsum loops, whose order does not depend on the
number of threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import as_array, check_array, check_count, check_lengths
from rnnbench.errors import InputError
from rnnbench.layers.layer import Array, Arrays, matrix, named
from rnnbench.layers.products import dense, dense_backward


class Memory(NamedTuple):
    """A source ready to be read. values (S,B,K), zero where ``allowed`` (B,S) is False; keys."""

    values: np.ndarray
    keys: np.ndarray
    allowed: np.ndarray


class Reading(NamedTuple):
    """context (T,B,K), weights (T,B,S); query and kept are for the way back."""

    context: np.ndarray
    weights: np.ndarray
    query: np.ndarray
    kept: object


class ReadingGradients(NamedTuple):
    params: Arrays
    query: np.ndarray
    keys: np.ndarray
    values: np.ndarray


class Attended(NamedTuple):
    """context (T,B,K); weights (T,B,S), exactly 0 where the mask forbids; tape."""

    context: np.ndarray
    weights: np.ndarray
    tape: object


class Gradients(NamedTuple):
    """params name -> array; query (T,B,Q); source (S,B,K), 0 where the mask forbids."""

    params: Arrays
    query: np.ndarray
    source: np.ndarray


class Tape(NamedTuple):
    attention: "Attention"
    target: object
    params: Arrays
    memory: Memory
    reading: Reading


class Attention:
    """Scores are a subclass's; all else is here. It holds no numbers."""

    # -- a kind of score: to be said by a subclass --------------------------------------------

    def parameters(self, query_size: int, source_size: int) -> dict[str, Array]:
        """Every parameter, by name, in canonical order."""
        return {}

    def keys(self, target, params: Arrays, source: np.ndarray) -> np.ndarray:
        """(S,B,·): what the scores need of the source (S,B,K)."""
        return source

    def keys_backward(self, target, params, source, dkeys) -> tuple[Arrays, np.ndarray]:
        """(gradients of the parameters that ``keys`` uses, dsource)."""
        return {}, dkeys

    def scores(self, target, params, query, keys) -> tuple[np.ndarray, object]:
        """e (T,B,S), and what the way back needs beside the arguments."""
        raise NotImplementedError

    def scores_backward(self, target, params, query, keys, kept, dscores):
        """(gradients of the parameters that ``scores`` uses, dquery, dkeys)."""
        raise NotImplementedError

    # -- on checked arrays ---------------------------------------------------------------------

    def remember(self, target, params, source: np.ndarray, allowed: np.ndarray) -> Memory:
        # selected, not multiplied by the mask: NaN there stays out
        values = np.where(by_time(allowed), source, 0)
        return Memory(values, self.keys(target, params, values), allowed)

    def remember_backward(self, target, params, memory, dkeys, dvalues):
        """(gradients of the parameters that ``keys`` uses, dsource)."""
        dparams, dsource = self.keys_backward(target, params, memory.values, dkeys)
        return dparams, np.where(by_time(memory.allowed), dsource + dvalues, 0)

    def read(self, target, params, memory: Memory, query: np.ndarray) -> Reading:
        scores, kept = self.scores(target, params, query, memory.keys)
        weights = softmax(scores, memory.allowed)
        context = np.einsum("tbs,sbk->tbk", weights, memory.values)
        return Reading(context, weights, query, kept)

    def read_backward(
        self, target, params, memory: Memory, reading: Reading, dcontext, dweights=0
    ) -> ReadingGradients:
        dweights = np.einsum("tbk,sbk->tbs", dcontext, memory.values) + dweights
        dvalues = np.einsum("tbs,tbk->sbk", reading.weights, dcontext)
        dscores = softmax_backward(reading.weights, dweights, memory.allowed)
        dparams, dquery, dkeys = self.scores_backward(
            target, params, reading.query, memory.keys, reading.kept, dscores
        )
        return ReadingGradients(dparams, dquery, dkeys, dvalues)

    # -- what a user calls ---------------------------------------------------------------------

    def forward(
        self, target, params: Mapping, query, source, source_lengths=None, source_mask=None
    ) -> Attended:
        """Contexts of queries (T,B,Q) in a source (S,B,K), both float32 or both float64.

        source_lengths (B,): 0 to S; source_mask (S,B) bool: True where it may be looked at. What
        either forbids is never looked at. InputError for anything else, and for a sequence of
        which they leave nothing.
        """
        query = check_array("query", query, 3)
        source = check_array("source", source, 3, query.dtype)
        if 0 in query.shape + source.shape or query.shape[1] != source.shape[1]:
            raise InputError(
                f"query has shape {query.shape}, source {source.shape}; needs (T, B, Q) and "
                "(S, B, K), each at least 1"
            )
        self.check_sizes(query.shape[2], source.shape[2])
        wanted = self.parameters(query.shape[2], source.shape[2])
        params = named("parameter", params, wanted, query.dtype)
        allowed = allowed_steps(source_lengths, source_mask, *source.shape[:2])
        memory = self.remember(target, params, source, allowed)
        reading = self.read(target, params, memory, query)
        # copies: the caller may write to them before the way back
        reading = reading._replace(query=query.copy())
        kept = {name: value.copy() for name, value in params.items()}
        tape = Tape(self, target, kept, memory, reading)
        for array in (reading.context, reading.weights):
            array.flags.writeable = False  # the tape shares them
        return Attended(reading.context, reading.weights, tape)

    def backward(self, tape: Tape, dcontext=None, dweights=None) -> Gradients:
        """From dcontext (T,B,K) and dweights (T,B,S); a missing one is zero."""
        if not isinstance(tape, Tape) or tape.attention is not self:
            raise InputError(f"tape is a {type(tape).__name__}; needs one of this one's forward")
        _, target, params, memory, reading = tape
        wanted = {
            "context": Array(reading.context.shape),
            "weights": Array(reading.weights.shape),
        }
        given = {"context": dcontext, "weights": dweights}
        d = named("gradient", given, wanted, reading.context.dtype, zeros=True)
        found = self.read_backward(target, params, memory, reading, d["context"], d["weights"])
        of_keys, dsource = self.remember_backward(target, params, memory, found.keys, found.values)
        gradients = found.params | of_keys
        return Gradients({name: gradients[name] for name in params}, found.query, dsource)

    def check_sizes(self, query_size: int, source_size: int) -> None:
        """InputError where the score needs other widths."""


@dataclass(frozen=True, eq=False)
class Additive(Attention):
    """vᵀ tanh(W q + U h) with v (A,), W (A,Q), U (A,K); size is A."""

    size: int

    def __post_init__(self):
        check_count("size", self.size)

    def parameters(self, query_size, source_size):
        A = self.size
        return {"W": matrix(A, query_size), "U": matrix(A, source_size), "v": Array((A,))}

    def keys(self, target, params, source):
        return dense(target, source, params["U"])

    def keys_backward(self, target, params, source, dkeys):
        dsource, dU = dense_backward(target, source, params["U"], dkeys)
        return {"U": dU}, dsource

    def scores(self, target, params, query, keys):
        queries = dense(target, query, params["W"])
        hidden = np.tanh(queries[:, None] + keys)  # (T,S,B,A)
        return np.einsum("tsba,a->tbs", hidden, params["v"]), hidden

    def scores_backward(self, target, params, query, keys, hidden, dscores):
        dv = np.einsum("tbs,tsba->a", dscores, hidden)
        dsum = np.einsum("tbs,a->tsba", dscores, params["v"]) * (1 - hidden * hidden)
        dquery, dW = dense_backward(target, query, params["W"], dsum.sum(axis=1))
        return {"W": dW, "v": dv}, dquery, dsum.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Dot(Attention):
    """qᵀ h, of equal widths."""

    def scores(self, target, params, query, keys):
        return np.einsum("tbk,sbk->tbs", query, keys), None

    def scores_backward(self, target, params, query, keys, kept, dscores):
        dquery = np.einsum("tbs,sbk->tbk", dscores, keys)
        return {}, dquery, np.einsum("tbs,tbk->sbk", dscores, query)

    def check_sizes(self, query_size, source_size):
        if query_size != source_size:
            raise InputError(
                f"a dot score needs equal widths; the query has {query_size}, "
                f"the source {source_size}"
            )


@dataclass(frozen=True, eq=False)
class General(Dot):
    """qᵀ W h with W (Q,K): a dot score with the keys W h."""

    def parameters(self, query_size, source_size):
        return {"W": matrix(query_size, source_size)}

    def keys(self, target, params, source):
        return dense(target, source, params["W"])

    def keys_backward(self, target, params, source, dkeys):
        dsource, dW = dense_backward(target, source, params["W"], dkeys)
        return {"W": dW}, dsource

    def check_sizes(self, query_size, source_size):
        """Any widths."""


def by_time(allowed: np.ndarray) -> np.ndarray:
    """(B,S) as (S,B,1)."""
    return np.ascontiguousarray(allowed.T)[:, :, None]


def softmax(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Over the last axis of scores (…,S), among the allowed ones; the others are exactly 0."""
    masked = np.where(allowed, scores, -np.inf)
    # shifted to the largest: no exp overflows, and the largest one is exp(0)
    powers = np.exp(masked - masked.max(axis=-1, keepdims=True))
    # selected: where a score is NaN, all powers are
    return np.where(allowed, powers / powers.sum(axis=-1, keepdims=True), 0)


def softmax_backward(weights, dweights, allowed) -> np.ndarray:
    mean = np.where(allowed, weights * dweights, 0).sum(axis=-1, keepdims=True)
    return np.where(allowed, weights * (dweights - mean), 0)


def allowed_steps(lengths, mask, S: int, B: int) -> np.ndarray:
    """(B,S) bool: the source steps that lengths (B,) and mask (S,B) allow, all where both are
    None. InputError where a sequence has none."""
    allowed = np.arange(S) < check_lengths(lengths, S, B)[:, None]
    if mask is not None:
        mask = as_array("source_mask", mask)
        if mask.dtype != bool or mask.shape != (S, B):
            raise InputError(
                f"source_mask is {mask.dtype}{mask.shape}; needs bool ({S}, {B}), True where a "
                "step may be looked at"
            )
        allowed = allowed & mask.T
    empty = np.flatnonzero(~allowed.any(axis=1))
    if empty.size:
        raise InputError(
            f"sequence {empty[0]} has no source step to attend to: its length or mask leaves none"
        )
    return allowed
