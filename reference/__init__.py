"""Recurrent networks in plain NumPy: the second derivation that kernels are tested against.

Runs on float32, float64, complex128 (complex-step derivatives) and object arrays of flint.arb
balls (rigorous enclosures). Imports NumPy and itself only, and shares no code with `rnnbench`.
The module itself is a target: forward, backward, matmul.
"""

from .bptt import chunked, full
from .cells import cell_names, get_cell
from .clipping import clip_by_global_norm, clip_by_value
from .losses import HeadResult, head_loss
from .unroll import Forward, Gradients, backward, forward, matmul

__all__ = [
    "Forward",
    "Gradients",
    "HeadResult",
    "backward",
    "cell_names",
    "chunked",
    "clip_by_global_norm",
    "clip_by_value",
    "forward",
    "full",
    "get_cell",
    "head_loss",
    "matmul",
]
