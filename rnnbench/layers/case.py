"""Whole problems of a layer with asymmetric random numbers, for checking."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnbench.checks import check_count, check_dtype, check_lengths
from rnnbench.layers.layer import Array, Arrays, Layer, check_layer, random_arrays


@dataclass(frozen=True)
class LayerCase:
    """Everything that ``Layer.forward`` and ``Layer.backward`` take."""

    layer: Layer
    params: Arrays
    x: np.ndarray
    state: Arrays
    lengths: np.ndarray | None
    inputs: Arrays
    dy: np.ndarray
    dstate: Arrays

    def forward_arguments(self) -> tuple:
        return self.params, self.x, self.state, self.lengths, self.inputs


def random_layer_case(
    layer: Layer,
    T: int = 5,
    B: int = 4,
    I: int = 3,
    dtype=np.float64,
    seed: int = 0,
    lengths: Sequence[int] | None = None,
) -> LayerCase:
    """Distinct weights, nonzero states, biases and upstream gradients, all inputs given.

    lengths (B,): 0 to T; None: all T. InputError for a size below 1 or what the layer refuses.
    """
    check_layer("layer", layer)
    for name, n in (("T", T), ("B", B), ("I", I)):
        check_count(name, n)
    dtype = check_dtype(dtype)
    wanted = (
        layer.parameters(I),
        {"x": Array((T, B, I)), "dy": Array((T, B, layer.output_size(I)))},
        layer.states(B, I),
        layer.inputs(T, B, I),
        {name: Array(a.shape) for name, a in layer.states(B, I).items()},
    )
    params, arrays, state, inputs, dstate = (
        random_arrays(arrays, dtype, [seed, kind]) for kind, arrays in enumerate(wanted, 1)
    )
    lengths = None if lengths is None else check_lengths(lengths, T, B)
    return LayerCase(layer, params, arrays["x"], state, lengths, inputs, arrays["dy"], dstate)


def run_layer_case(case: LayerCase, target) -> Arrays:
    """Every array that forward and backward give, by the names of ``result_arrays``."""
    run = case.layer.forward(target, *case.forward_arguments())
    return result_arrays(run, case.layer.backward(run.tape, case.dy, case.dstate))


def result_arrays(run, gradients) -> Arrays:
    """The arrays of a result (y, state, tape) and of gradients (params, x, state): y, state.…,
    dx, d…, dstate.…"""
    found = {"y": run.y} | {f"state.{name}": v for name, v in run.state.items()}
    found |= {"dx": gradients.x} | {f"d{name}": v for name, v in gradients.params.items()}
    return found | {f"dstate.{name}": v for name, v in gradients.state.items()}
