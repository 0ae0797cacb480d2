"""What a layer is: a differentiable map of sequences with states, made of cells, on any target.

Layers nest (a stack of bidirectional layers, a decoder that is a stack), so arrays have dotted
names: ``1.forward.R`` is the matrix R of the forward direction of the stack's second layer. A
layer holds no numbers: parameters and states come with each call and go with its results.

Letters: T time steps, B batch, I input width.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_array, check_lengths
from rnnbench.errors import InputError, unknown
from rnnbench.layers.sums import Checked, Total

Arrays = dict[str, np.ndarray]


class Array(NamedTuple):
    """An array that a layer takes. Random cases draw it uniformly in centre ± scale, and through
    ``draw``, where there is one, to the values that are allowed (a mask's 0 and 1).

    Of an input only: per_step: its first axis is time, to be cut and reversed with x; False where
    all steps share it. default(dtype): what a call takes that gives none. needed: a call that
    gives none is an error.
    """

    shape: tuple[int, ...]
    scale: float = 1.0
    centre: float | np.ndarray = 0.0
    draw: Callable[[np.ndarray], np.ndarray] | None = None
    per_step: bool = True
    default: Callable[[np.dtype], np.ndarray] | None = None
    needed: bool = False


class Result(NamedTuple):
    """y (T,B,width), zero past a sequence's end, perhaps not writeable; state: name -> (B,width),
    the final states; tape, for ``Layer.backward``, None where it was not kept."""

    y: np.ndarray
    state: Arrays
    tape: object


class Gradients(NamedTuple):
    """Gradients of every input: parameters by name; x (T,B,I), zero past a sequence's end; initial
    states by name (B,width)."""

    params: Arrays
    x: np.ndarray
    state: Arrays


class Tape(NamedTuple):
    """What ``backward`` needs. lengths: (B,) int64, None where all are T."""

    layer: "Layer"
    shape: tuple[int, int, int]
    dtype: np.dtype
    lengths: np.ndarray | None
    inner: object


class Layer:
    """Checks at the edge, then ``run`` and ``run_backward`` of a subclass, which trust each other.

    causal: y_t depends on no later x, so a sequence may be cut and the state carried.
    """

    causal = True

    # -- what it takes: to be said by a subclass --------------------------------------------

    def output_size(self, input_size: int) -> int:
        """The width of y."""
        raise NotImplementedError

    def parameters(self, input_size: int) -> dict[str, Array]:
        """Every parameter, by name, in canonical order."""
        raise NotImplementedError

    def states(self, B: int, input_size: int) -> dict[str, Array]:
        """Every state (B,width), by name, in canonical order."""
        return {}

    def inputs(self, T: int, B: int, input_size: int) -> dict[str, Array]:
        """What its steps are given beside x (masks, timestamps), by name."""
        return {}

    def run(self, target, params, x, state, lengths, inputs, keep: bool) -> Result:
        """``forward`` of checked arrays, x and inputs in any memory layout. All states are given;
        inputs may be missing ones. Past a sequence's end x and per-step inputs hold anything, y is
        zero. What the tape keeps of the arrays given it copies, or a target does."""
        raise NotImplementedError

    def run_backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        """``backward`` of what ``run`` left as its tape. dy is zero past a sequence's end, in
        any layout, and not written to; the gradients are new arrays, the caller's to write to."""
        raise NotImplementedError

    def sums(self, target):
        """What ``accumulator`` adds up with: ``backward`` is called as ``run_backward``. This one
        adds pass to pass; where a target's sum goes on, a layer may hand it to those inside."""
        return Total(self.run_backward)

    # -- what a user calls -------------------------------------------------------------------

    def forward(
        self,
        target,
        params: Mapping,
        x,
        state: Mapping | None = None,
        lengths=None,
        inputs: Mapping | None = None,
        tape: bool = True,
    ) -> Result:
        """Run the layer over x (T,B,I) on a target (``rnnbench.target``).

        params, state, inputs: name -> array, as ``parameters``, ``states`` and ``inputs`` say;
        missing states are zero. lengths (B,): 0 to T. tape: keep what ``backward`` needs.
        All arrays float32 or all float64. InputError for anything else, by its dotted name.
        """
        x = check_array("x", x, 3)
        if 0 in x.shape:
            raise InputError(f"x has shape {x.shape}; {'TBI'[x.shape.index(0)]} must be at least 1")
        T, B, size = x.shape
        params = named("parameter", params, self.known("parameters", size), x.dtype)
        state = named("state", state, self.known("states", B, size), x.dtype, zeros=True)
        wanted = self.known("inputs", T, B, size)
        inputs = named("input", inputs, wanted, x.dtype, optional=True)
        if lengths is not None:
            lengths = check_lengths(lengths, T, B)
            if lengths.min() == T:
                lengths = None
        result = self.run(target, params, x, state, lengths, inputs, tape)
        kept = Tape(self, x.shape, x.dtype, lengths, result.tape) if tape else None
        return result._replace(tape=kept)

    def backward(self, tape: Tape, dy=None, dstate: Mapping | None = None) -> Gradients:
        """Full backpropagation through the call of ``forward`` that left ``tape``.

        dy (T,B,width): gradient at y (no effect past a sequence's end); dstate: name -> (B,width),
        gradient at the final states. Missing ones are zero. A tape may be used more than once.
        """
        return self.checked_backward(self.run_backward, tape, dy, dstate)

    def accumulator(self, target) -> Checked:
        """Adds up the parameters' gradients of many passes back: ``backward(tape, dy, dstate)``,
        as above but for them, then ``result()``, the sum by name (``layers.sums``)."""
        return Checked(self, self.sums(target))

    def checked_backward(self, run_backward: Callable, tape, dy, dstate) -> Gradients:
        """``run_backward`` of what ``backward`` is given."""
        if not isinstance(tape, Tape) or tape.layer is not self:
            raise InputError(f"tape is a {type(tape).__name__}; needs one of this layer's forward")
        T, B, size = tape.shape
        dy = check_upstream(dy, (T, B, self.known("output_size", size)), tape.dtype)
        dstate = named("dstate", dstate, self.known("states", B, size), tape.dtype, zeros=True)
        return run_backward(tape.inner, without_padding(dy, tape.lengths), dstate)

    def random_params(self, input_size: int, dtype=np.float64, seed: int = 0) -> Arrays:
        """Distinct, unsaturated parameters, for checking."""
        return random_arrays(self.parameters(input_size), dtype, [seed, 1])

    def all_inputs(self, given: Mapping | None, T: int, B: int, input_size: int, dtype) -> Arrays:
        """The inputs given (checked) and the defaults of the others, over all T: for who then runs
        the steps in pieces, where a default made anew would count each piece's from 0."""
        wanted = self.known("inputs", T, B, input_size)
        found = named("input", given, wanted, dtype, optional=True)
        made = {n: a.default(dtype) for n, a in wanted.items() if a.default and n not in found}
        return found | made

    # -- what it is, as data (``layers.describe``) ---------------------------------------------

    def settings(self) -> dict[str, object]:
        """What the constructor takes, by name: the fields of a dataclass."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_settings(cls, **settings) -> "Layer":
        """The layer of these ``settings``."""
        return cls(**settings)

    def known(self, what: str, *sizes: int):
        """The method of that name for these sizes, called once: every call of a layer asks."""
        memory = vars(self).setdefault("_known", {})
        if (what, *sizes) not in memory:
            if len(memory) >= 64:  # another T or B at every call: no hoard
                memory.clear()
            memory[what, *sizes] = getattr(self, what)(*sizes)
        return memory[what, *sizes]


def check_upstream(dy, shape: tuple[int, ...], dtype) -> np.ndarray:
    """dy, or zeros in its place."""
    if dy is None:
        return np.zeros(shape, dtype)
    dy = check_array("dy", dy, 3, dtype)
    if dy.shape != shape:
        raise InputError(f"dy has shape {dy.shape}; needs {shape}")
    return dy


def named(
    kind: str,
    given: Mapping | None,
    wanted: Mapping[str, Array],
    dtype,
    zeros: bool = False,
    optional: bool = False,
) -> Arrays:
    """The arrays by name, in canonical order; InputError for an unknown name or a wrong shape.

    zeros: a missing one is zero; optional: it stays missing, unless it is needed; else it is an
    error.
    """
    given = {} if given is None and (zeros or optional) else given
    if not isinstance(given, Mapping):
        raise InputError(f"{kind}s: a {type(given).__name__}; needs a mapping name -> array")
    for name in given:
        if name not in wanted:
            raise unknown(kind, name, list(wanted) or ["none"])
    found = {}
    for name, array in wanted.items():
        value = given.get(name)
        if value is None and zeros:
            found[name] = np.zeros(array.shape, dtype)
        elif value is None and (array.needed or not optional):
            raise InputError(f"{kind} {name} is missing; needs an array of shape {array.shape}")
        elif value is not None:
            value = check_array(f"{kind} {name}", value, None, dtype)
            if value.shape != array.shape:
                raise InputError(f"{kind} {name} has shape {value.shape}; needs {array.shape}")
            found[name] = value
    return found


def without_padding(values: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
    """(T,B,…) with zeros past each sequence's end (selected, not multiplied: NaN stays out)."""
    if lengths is None:
        return values
    values = values.copy()
    values[np.arange(len(values))[:, None] >= lengths] = 0  # a fourth of the time of np.where
    return values


def random_arrays(arrays: Mapping[str, Array], dtype, seed) -> Arrays:
    """Each drawn by itself: a further array leaves the others as they are."""
    found = {}
    for place, (name, array) in enumerate(arrays.items()):
        rng = np.random.default_rng([*np.atleast_1d(seed), place])
        draw = array.centre + array.scale * rng.uniform(-1.0, 1.0, array.shape)
        found[name] = np.asarray(draw if array.draw is None else array.draw(draw), dtype)
    return found


# -- dotted names --------------------------------------------------------------------------------


def part(arrays: Mapping, name: str) -> dict:
    """Those under ``name.``, by what follows."""
    prefix = f"{name}."
    return {key[len(prefix) :]: v for key, v in arrays.items() if key.startswith(prefix)}


def apart(arrays: Mapping, names: Iterable[str]) -> list[dict]:
    """``part`` for each of the names, in one pass."""
    found = {name: {} for name in names}
    for key, value in arrays.items():
        head, _, rest = key.partition(".")
        if head in found:
            found[head][rest] = value
    return list(found.values())


def joined(parts: Mapping[str, Mapping]) -> dict:
    """The parts' names, dotted: the inverse of ``part``."""
    return {f"{name}.{key}": v for name, arrays in parts.items() for key, v in arrays.items()}


def matrix(rows: int, columns: int) -> Array:
    """A weight matrix; pre-activations of order one."""
    return Array((rows, columns), 1.3 / math.sqrt(columns))


def check_layer(name: str, value) -> "Layer":
    """A layer; a cell's name alone is none, for it has no size."""
    if not isinstance(value, Layer):
        raise InputError(f"{name} is a {type(value).__name__}; needs a layer, as Recurrent(…)")
    return value
