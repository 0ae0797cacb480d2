"""Networks of layers, one sequence at a time: forward, and the chain rule backwards.

A network is plain data, nested mappings with a "kind":

  {"kind": "Recurrent", "cell": name, "options": {..}, "hidden_size": H, "widths": {letter: size}}
  {"kind": "FeedForward", "sizes": [..], "activation": [..]}                 steps.py
  {"kind": "Stack", "layers": [..], "residual": [bool, ..], "masks": "none" | "step" | "sequence"}
  {"kind": "Bidirectional", "forward": .., "backward": .., "merge": "concat" | "sum" | "mean" |
   "product"}

Arrays have dotted names: "0.R" of a stack's first layer, "forward.R" of a direction. There is no
batch inside: each sequence is cut to its own length and goes through alone, so nothing inside
knows of padding. Letters: T time, B batch, I input width, n one sequence's length.

What a network is built of (`build`) has
  by_step         whether `step` and `step_backward` exist: its step t needs no later x
  fit             (params, I, like) -> Fit; ValueError where the parameters do not fit
  run             (params, xs, state, inputs) -> (ys, final state, tape)
  run_backward    (params, tape, dys, dstate) -> (dparams, dxs, gradient of the initial state)
with xs, ys lists of n arrays (1,width); state name -> (1,width); inputs name -> list of n. The
parameters that were used 0 times may be missing in dparams.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import checks
from .functions import zeros_like_type
from .unroll import Gradients


class Fit(NamedTuple):
    """What goes with some parameters: output, the width of y; states name -> width; inputs name ->
    (shape of one sequence's, whether it is one a step)."""

    output: int
    states: dict[str, int]
    inputs: dict[str, tuple[tuple[int, ...], bool]]


class Result(NamedTuple):
    """y (T,B,width), zero past a sequence's end; state: name -> (B,width), the final states."""

    y: np.ndarray
    state: dict[str, np.ndarray]
    tape: "Tape"


class Tape(NamedTuple):
    network: object
    params: dict[str, np.ndarray]
    x_shape: tuple[int, int, int]
    fit: Fit
    sequences: list  # (n, tape), one a sequence


def build(data):
    """The network that `data` describes; what is built already is returned as it is. ValueError
    for an unknown kind, or for settings that are not its own."""
    from .bidirectional import Bidirectional
    from .stack import Stack
    from .steps import FeedForward, Recurrent

    kinds = {k.__name__: k for k in (Recurrent, FeedForward, Stack, Bidirectional)}
    if isinstance(data, tuple(kinds.values())):
        return data
    if not isinstance(data, Mapping):
        raise ValueError(f"network: {type(data).__name__}, expected a mapping with a kind")
    settings = dict(data)
    kind = settings.pop("kind", None)
    checks.one_of("kind", kind, tuple(kinds))
    try:
        return kinds[kind](**settings)
    except TypeError as error:
        raise ValueError(f"{kind}: it is not made of {', '.join(settings) or 'nothing'}") from error


def forward(
    network,
    params: Mapping[str, np.ndarray],
    x: np.ndarray,
    state: Mapping[str, np.ndarray] | None = None,
    lengths: np.ndarray | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
) -> Result:
    """Run a network over x (T,B,I).

    network  data, or what `build` made of it
    state    name -> (B,width), the initial states (a backward direction's enters at its sequences'
             ends); zeros where missing
    lengths  (B,) integers in 0..T; None: all T
    inputs   name -> (T,B,width) or (T,B), and (B,width) for a mask that is the same at all steps;
             all of them
    All arrays are of one number type, which is kept; none is written to. ValueError on the rest.
    """
    network = build(network)
    x = checks.time_major("x", x, "T, B, I")
    T, B, I = x.shape
    if not isinstance(params, Mapping):
        raise ValueError(f"params: {type(params).__name__}, expected a mapping of name to array")
    params = {name: np.array(value) for name, value in params.items()}
    fit = network.fit(params, I, x)
    lengths = checks.sequence_lengths(lengths, T, B)
    state = _states("state", state, fit, B, x)
    inputs = _inputs(inputs, fit, T, B, x)

    y = zeros_like_type((T, B, fit.output), x)
    final = {name: zeros_like_type(value.shape, x) for name, value in state.items()}
    sequences = []
    for b, n in enumerate(lengths):
        one = slice(b, b + 1)
        ys, last, tape = network.run(
            params,
            [x[t, one] for t in range(n)],
            {name: value[one] for name, value in state.items()},
            {
                name: [values[t, one] if fit.inputs[name][1] else values[one] for t in range(n)]
                for name, values in inputs.items()
            },
        )
        for t in range(n):
            y[t, one] = ys[t]
        for name in final:
            final[name][one] = last[name]
        sequences.append((n, tape))
    return Result(y, final, Tape(network, params, x.shape, fit, sequences))


def backward(
    tape: Tape,
    dy: np.ndarray | None = None,
    dstate: Mapping[str, np.ndarray] | None = None,
) -> Gradients:
    """Backpropagate from dy (T,B,width), which past a sequence's end has no effect, and dstate,
    name -> (B,width), the gradient at the final states; zeros where missing."""
    if not isinstance(tape, Tape):
        raise ValueError(f"tape: {type(tape).__name__}, expected the tape of a network's forward")
    T, B, _ = tape.x_shape
    like = next(iter(tape.params.values()))
    if dy is None:
        dy = zeros_like_type((T, B, tape.fit.output), like)
    dy = checks.array_like("dy", dy, (T, B, tape.fit.output), like)
    dstate = _states("dstate", dstate, tape.fit, B, like)

    dparams = {name: zeros_like_type(value.shape, like) for name, value in tape.params.items()}
    dx = zeros_like_type(tape.x_shape, like)
    initial = {name: zeros_like_type(value.shape, like) for name, value in dstate.items()}
    for b, (n, inner) in enumerate(tape.sequences):
        one = slice(b, b + 1)
        more, dxs, first = tape.network.run_backward(
            tape.params,
            inner,
            [dy[t, one] for t in range(n)],
            {name: value[one] for name, value in dstate.items()},
        )
        dparams = add(dparams, more)
        for t in range(n):
            dx[t, one] = dxs[t]
        for name in initial:
            initial[name][one] = first[name]
    return Gradients(dparams, dx, initial)


def _states(what: str, given, fit: Fit, B: int, like) -> dict[str, np.ndarray]:
    given = checks.mapping(what, given, tuple(fit.states))
    return {
        name: checks.array_like(f"{what} {name!r}", given[name], (B, width), like)
        if name in given
        else zeros_like_type((B, width), like)
        for name, width in fit.states.items()
    }


def _inputs(given, fit: Fit, T: int, B: int, like) -> dict[str, np.ndarray]:
    given = checks.mapping("inputs", given, tuple(fit.inputs))
    found = {}
    for name, (shape, by_step) in fit.inputs.items():
        if name not in given:
            raise ValueError(f"inputs: {name!r} is missing, expected: {', '.join(fit.inputs)}")
        full = (T, B, *shape) if by_step else (B, *shape)
        found[name] = checks.array_like(f"input {name!r}", given[name], full, like)
    return found


# -- names ---------------------------------------------------------------------------------------


def split(what: str, arrays: Mapping, heads) -> dict[str, dict]:
    """{"0.W": .., "1.W": ..} -> {"0": {"W": ..}, "1": {"W": ..}}, each head there even if empty.
    ValueError for a name that begins with none of them."""
    found = {head: {} for head in heads}
    for name, value in arrays.items():
        head, dot, rest = name.partition(".")
        if not dot or head not in found:
            first = ", ".join(f"{head}." for head in found)
            raise ValueError(
                f"{what}: unknown name {name!r}, expected one that begins with {first}"
            )
        found[head][rest] = value
    return found


def join(parts: Mapping[str, Mapping]) -> dict:
    """The inverse of `split`."""
    return {f"{head}.{rest}": v for head, arrays in parts.items() for rest, v in arrays.items()}


def add(total: Mapping, more: Mapping) -> dict:
    """The sums by name; a name may be in one of them only."""
    found = dict(total)
    for name, value in more.items():
        # an array even where both are 0-d
        found[name] = np.asarray(total[name] + value) if name in total else value
    return found
