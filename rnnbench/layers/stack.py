"""Layers on top of each other: the output of one is the input of the next.

    y_l = layer_l(x_l)              or, where layer l is residual,  y_l = layer_l(x_l) + x_l
    x_{l+1} = y_l                   or, with masks,                 x_{l+1} = mask_l ⊙ y_l

Stacked recurrent layers: Graves 2013, arXiv:1308.0850, eqs. 1-3, without his connections that
skip. Residual ones: Wu et al. 2016, arXiv:1609.08144, section 3.1, eq. 6. Masks between layers,
not within the recurrence: Zaremba, Sutskever & Vinyals 2014, arXiv:1409.2329, section 3.2, anew at
each step; the same at all steps of a sequence ("variational"): Gal & Ghahramani 2016,
arXiv:1512.05287, section 4, who also mask the recurrence (a cell's option recurrent_dropout).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np

from rnnbench.checks import check_dtype
from rnnbench.errors import InputError, shown, unknown
from rnnbench.layers.layer import (
    Array,
    Arrays,
    Gradients,
    Layer,
    Result,
    apart,
    check_layer,
    joined,
    without_padding,
)

MASKS = ("none", "step", "sequence")


@dataclass(frozen=True, eq=False)
class Stack(Layer):
    """Layers numbered from 0: parameters, states and inputs are named ``0.…``, ``1.…``.

    residual: True for all but the first layer, or one flag a layer; such a layer's input and
    output are of one width. masks: "step" for inputs ``mask.0`` … of (T,B,width), one below every
    layer but the first (mask.l multiplies y_l), or "sequence" for (B,width), one for all steps. A
    mask that is not given is 1 everywhere (no dropout): scaling is up to who makes them, as
    ``dropout_mask`` does. InputError for anything else, for widths at the first call.
    """

    layers: Sequence[Layer]
    residual: bool | Sequence[bool] = False
    masks: str = "none"

    def __post_init__(self):
        if not isinstance(self.layers, Sequence) or isinstance(self.layers, str):
            raise InputError(f"layers is a {type(self.layers).__name__}; needs a list of layers")
        if not self.layers:
            raise InputError("layers is empty; a stack needs at least one")
        layers = tuple(check_layer(f"layer {l}", layer) for l, layer in enumerate(self.layers))
        if not isinstance(self.masks, str) or self.masks not in MASKS:
            raise unknown("masks", self.masks, MASKS)
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "residual", check_flags(self.residual, len(layers)))

    @functools.cached_property
    def numbers(self) -> list[str]:
        """The layers' names."""
        return [str(l) for l in range(len(self.layers))]

    @property
    def causal(self) -> bool:
        return all(layer.causal for layer in self.layers)

    def widths(self, input_size: int) -> list[int]:
        """The width of each layer's input, and of y."""
        widths = [input_size]
        for l, layer in enumerate(self.layers):
            size = layer.output_size(widths[l])
            if self.residual[l] and size != widths[l]:
                raise InputError(
                    f"layer {l} is residual and needs equal widths; its input has {widths[l]}, "
                    f"its output {size}"
                )
            widths.append(size)
        return widths

    def output_size(self, input_size: int) -> int:
        return self.widths(input_size)[-1]

    def parameters(self, input_size: int) -> dict[str, Array]:
        return self.each(input_size, lambda layer, size: layer.parameters(size))

    def states(self, B: int, input_size: int) -> dict[str, Array]:
        return self.each(input_size, lambda layer, size: layer.states(B, size))

    def inputs(self, T: int, B: int, input_size: int) -> dict[str, Array]:
        found = self.each(input_size, lambda layer, size: layer.inputs(T, B, size))
        if self.masks != "none":
            per_step = self.masks == "step"
            for l, width in enumerate(self.widths(input_size)[1:-1]):
                shape = (T, B, width) if per_step else (B, width)
                found[f"mask.{l}"] = Array(shape, draw=random_mask, per_step=per_step)
        return found

    def each(self, input_size: int, what) -> dict[str, Array]:
        """``what(layer, its input size)`` of every layer, under its number."""
        triples = zip(self.numbers, self.layers, self.widths(input_size)[:-1], strict=True)
        return joined({name: what(layer, size) for name, layer, size in triples})

    def run(self, target, params, x, state, lengths, inputs, keep: bool) -> Result:
        *inputs, masks = apart(inputs, [*self.numbers, "mask"])
        masks = {name: clean_mask(mask, lengths, keep) for name, mask in masks.items()}
        params, state = apart(params, self.numbers), apart(state, self.numbers)
        if self.residual[0]:
            x = without_padding(x, lengths)  # for it is added to y
        tapes, final = [], {}
        for l, (name, layer) in enumerate(zip(self.numbers, self.layers, strict=True)):
            result = layer.run(target, params[l], x, state[l], lengths, inputs[l], keep)
            tapes.append(result.tape)
            final[name] = result.state
            x = result.y + x if self.residual[l] else result.y
            if name in masks:
                x = x * masks[name]
        return Result(x, joined(final), (tapes, masks))

    def run_backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        found = self.go_back([layer.run_backward for layer in self.layers], inner, dy, dstate)
        return found._replace(params=self.joined(found.params))

    def sums(self, target) -> "StackSums":
        return StackSums(self, target)

    def go_back(self, passes: Sequence, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        """From each layer's pass back; ``params`` of the result is a list of theirs."""
        tapes, masks = inner
        count = len(passes)
        dstate, params, initial = apart(dstate, self.numbers), [None] * count, [None] * count
        for l, name in reversed([*enumerate(self.numbers)]):
            if name in masks:
                dy = dy * masks[name]
            params[l], x, initial[l] = passes[l](tapes[l], dy, dstate[l])
            dy = np.add(x, dy, out=x) if self.residual[l] else x
        return Gradients(params, dy, self.joined(initial))

    def joined(self, parts: Sequence[Arrays]) -> Arrays:
        """The layers' arrays, dotted."""
        return joined(dict(zip(self.numbers, parts, strict=True)))


class StackSums:
    """The sums of a stack: those of its layers."""

    def __init__(self, stack: Stack, target):
        self.stack, self.sums = stack, [layer.sums(target) for layer in stack.layers]

    def backward(self, inner, dy: np.ndarray, dstate: Arrays) -> Gradients:
        passes = [sums.backward for sums in self.sums]
        return self.stack.go_back(passes, inner, dy, dstate)._replace(params=None)

    def result(self) -> Arrays:
        return self.stack.joined([sums.result() for sums in self.sums])


def check_flags(residual, count: int) -> tuple[bool, ...]:
    """One flag a layer."""
    if isinstance(residual, bool):
        return (False,) + (residual,) * (count - 1)
    flags = tuple(residual) if isinstance(residual, list | tuple) else ()
    if len(flags) != count or not all(isinstance(flag, bool) for flag in flags):
        raise InputError(
            f"residual is {shown(residual)}; needs True, False, or one of them for each of "
            f"{count} layers"
        )
    return flags


def clean_mask(mask: np.ndarray, lengths: np.ndarray | None, keep: bool) -> np.ndarray:
    """The mask with zeros in padding, where it may hold anything; a copy where it is kept."""
    if lengths is None:
        return mask.copy() if keep else mask
    if mask.ndim == 3:
        return without_padding(mask, lengths)
    return np.where(lengths[:, None] > 0, mask, 0)


def random_mask(numbers: np.ndarray) -> np.ndarray:
    """A mask of rate 0.4 from numbers in (−1, 1)."""
    return np.where(numbers > -0.2, 1 / 0.6, 0.0)


def dropout_mask(
    rng: np.random.Generator, shape: Sequence[int], rate: float, dtype=np.float32
) -> np.ndarray:
    """0 with probability ``rate``, else 1/(1 − rate): of mean 1, so that nothing is to be scaled
    where no mask is given ("inverted" dropout).

    shape: (T,B,width), or (B,width) for one mask for all steps. InputError unless 0 ≤ rate < 1.
    """
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng is a {type(rng).__name__}; needs a numpy.random.Generator")
    is_number = isinstance(rate, Real) and not isinstance(rate, bool)
    if not is_number or not (math.isfinite(rate) and 0 <= rate < 1):
        raise InputError(f"rate is {shown(rate)}; needs a number of at least 0, below 1")
    kept = rng.random(shape) >= rate
    return np.where(kept, 1 / (1 - rate), 0.0).astype(check_dtype(dtype))
