"""The gradients at y and at the final states, checked before a step runs."""

from collections.abc import Mapping

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import check_array, check_states, infer_sizes
from rnnbench.errors import InputError
from rnnbench.gradients.chunks import CellChunks, LayerChunks
from rnnbench.layers.layer import named
from rnnbench.problem import Prepared


def check_ends(chunks: CellChunks | LayerChunks, dy, dstate: Mapping | None) -> np.ndarray | None:
    """dy (T,B,H) as an array, None where it is a callable or None.

    InputError where dy, or dstate (name -> (B,width)), has another shape or dtype than these
    chunks' outputs and states, or dstate another name.
    """
    x = check_array("x", chunks.x, 3)
    T, B, size = x.shape
    if isinstance(chunks, LayerChunks):
        width = chunks.layer.known("output_size", size)
        named("dstate", dstate, chunks.layer.known("states", B, size), x.dtype, zeros=True)
    else:
        cell, params = get_cell(chunks.cell), chunks.params
        prepared = isinstance(params, Prepared)
        sizes = params.sizes if prepared else infer_sizes(cell, params, size)
        width = sizes[cell.spec.state(cell.spec.output).width]
        check_states("dstate", cell, dstate, B, sizes, x.dtype, copies=False)
    if dy is None or callable(dy):
        return None
    dy = check_array("dy", dy, 3, x.dtype)
    if dy.shape != (T, B, width):
        raise InputError(f"dy has shape {dy.shape}; needs {(T, B, width)}")
    return dy
