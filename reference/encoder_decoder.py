"""An encoder and a decoder, with and without attention: one sequence at a time, step by step.

What a sequence does not have (steps past its end, masked source steps) never enters.
Letters: S source steps, T target steps, B batch, J and I the widths of source and x.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from . import checks
from .attention import SCORES
from .cells import get_cell
from .chain import accumulate, moment, of, row, step, step_backward
from .decoding import KINDS, Decoder, write, write_backward
from .functions import zeros_like_type


class Result(NamedTuple):
    """y (T,B,width) and weights (T,B,S), zero past the end and where not looked at; state: the
    decoder's final states, name -> (B,width); tape."""

    y: np.ndarray
    weights: np.ndarray
    state: dict[str, np.ndarray]
    tape: "Tape"


class Gradients(NamedTuple):
    """params and initial states by dotted name; source (S,B,J); x (T,B,I)."""

    params: dict[str, np.ndarray]
    source: np.ndarray
    x: np.ndarray
    state: dict[str, np.ndarray]


@dataclass(frozen=True)
class Tape:
    encoder: Any
    decoder: Decoder
    bridge: dict[str, tuple[str, ...]]
    source: np.ndarray
    x: np.ndarray
    state: dict[str, np.ndarray]
    sequences: list  # (steps looked at, the encoder's tapes, its final states, left by write)


def forward(
    encoder,
    decoder,
    params: Mapping[str, np.ndarray],
    source: np.ndarray,
    x: np.ndarray,
    source_lengths=None,
    lengths=None,
    state: Mapping[str, np.ndarray] | None = None,
    bridge: Mapping[str, tuple[str, ...]] | None = None,
    attention: str | None = None,
    score: str = "additive",
    source_mask=None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Result:
    """Cells by name or object; params and state by dotted names, as ``encoder.W``.

    bridge: decoder state -> the encoder states that stand side by side in it; None: by name.
    state: all the encoder's, and the decoder's that have no bridge. attention: of ``decoding``.
    inputs: what the cells' steps are given beside source and x, by dotted name.
    All arrays of one number type. ValueError where a sequence's source leaves attention nothing.
    """
    if attention is not None:
        checks.one_of("attention", attention, KINDS[1:])
    checks.one_of("score", score, SCORES)
    encoder, cell = get_cell(encoder), get_cell(decoder)
    (S, B, _), T = source.shape, len(x)
    source_lengths = checks.sequence_lengths(source_lengths, S, B)
    lengths = checks.sequence_lengths(lengths, T, B)
    if bridge is None:
        bridge = {name: (name,) for name in cell.states}
    _check_bridge(bridge, encoder, cell)
    names = [f"encoder.{name}" for name in encoder.states]
    names += [f"decoder.{name}" for name in cell.states if name not in bridge]
    state = checks.mapping("state", state, tuple(names))
    for name in names:
        if name not in state:
            raise ValueError(f"state: {name!r} is missing, expected: {', '.join(names)}")
    decoder = Decoder(cell, attention, score, dict(params))

    reading, writing = (of(inputs or {}, part) for part in ("encoder", "decoder"))
    sequences, results = [], []
    for b in range(B):
        there = np.arange(source_lengths[b])
        if source_mask is not None:
            there = there[np.asarray(source_mask)[there, b]]
        if attention is not None and not len(there):
            raise ValueError(f"sequence {b}: its source leaves attention nothing")
        start = row(state, b)
        h, last, tapes = _read(encoder, params, source[: source_lengths[b], b], start, reading, b)
        first = of(start, "decoder")
        for name, sides in bridge.items():
            first[name] = np.concatenate([last[one] for one in sides])
        beside = partial(moment, writing, b=b)
        *result, left = write(decoder, h[there], x[: lengths[b], b], first, beside)
        results.append(result)
        sequences.append((there, tapes, last, left))

    y = zeros_like_type((T, B, decoder.width(results[0][2])), x)
    weights = zeros_like_type((T, B, S), x)
    final = {name: np.stack([result[2][name] for result in results]) for name in cell.states}
    for b, (outputs, alphas, _) in enumerate(results):
        for t, (output, alpha) in enumerate(zip(outputs, alphas, strict=True)):
            y[t, b] = output
            if alpha is not None:
                weights[t, b, sequences[b][0]] = alpha
    tape = Tape(encoder, decoder, dict(bridge), source, x, state, sequences)
    return Result(y, weights, final, tape)


def backward(tape: Tape, dy: np.ndarray, dstate: Mapping[str, np.ndarray]) -> Gradients:
    """From dy (T,B,width) and the gradient at every final state of the decoder."""
    x, output = tape.x, tape.encoder.output
    dparams = {name: zeros_like_type(p.shape, x) for name, p in tape.decoder.params.items()}
    dsource, dx = zeros_like_type(tape.source.shape, x), zeros_like_type(x.shape, x)
    dinitial = {name: zeros_like_type(v.shape, x) for name, v in tape.state.items()}
    for b, (there, tapes, last, left) in enumerate(tape.sequences):
        T, S = len(left[-1]), len(tapes)
        dfirst, dx[:T, b], dseen = write_backward(
            tape.decoder, left, dy[:T, b], row(dstate, b), dparams
        )
        dh = zeros_like_type((S, len(last[output])), x)
        dh[there] = dseen
        dlast = {name: zeros_like_type(v.shape, x) for name, v in last.items()}
        for name, sides in tape.bridge.items():
            taken = 0
            for one in sides:
                n = len(last[one])
                dlast[one] = dlast[one] + dfirst[name][taken : taken + n]
                taken += n
        for t in reversed(range(S)):
            dlast[output] = dlast[output] + dh[t]
            more, dsource[t, b], dlast = step_backward(tapes[t], dlast)
            accumulate(dparams, "encoder", more)
        for name in dinitial:
            part, _, key = name.partition(".")
            dinitial[name][b] = (dlast if part == "encoder" else dfirst)[key]
    return Gradients(dparams, dsource, dx, dinitial)


def _check_bridge(bridge: Mapping, encoder, decoder) -> None:
    for name, sides in bridge.items():
        checks.one_of("bridge", name, tuple(decoder.states))
        for one in sides:
            checks.one_of(f"bridge of {name}", one, tuple(encoder.states))


def _read(encoder, params: Mapping, source: np.ndarray, start: Mapping, inputs: Mapping, b: int):
    """The encoder over source (n,J): h (n,K), the final states, a tape a step."""
    now, tapes = of(start, "encoder"), []
    h = zeros_like_type((len(source), len(now[encoder.output])), now[encoder.output])
    for t, u in enumerate(source):
        now, tape = step(encoder, of(params, "encoder"), u, now, moment(inputs, t, b))
        h[t] = now[encoder.output]
        tapes.append(tape)
    return h, now, tapes
