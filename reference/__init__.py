"""Recurrent networks in plain NumPy: the second derivation that kernels are tested against.

Runs on float32, float64, complex128 (complex-step derivatives) and object arrays of flint.arb
balls (rigorous enclosures). Imports NumPy and itself only, and shares no code with `rnnbench`.
Here stand a target's three calls (forward, backward and matmul), full
and cut gradients, losses and clips. In modules of their own:

  layers           networks of layers: stacked, bidirectional, feed-forward
  attention        scores and contexts; encoder_decoder: from one sequence to another
  feedback         outputs fed back as inputs; augmented: reminded of past states
  reversible       steps that are undone; fixed_point: their numbers
  embedding        a row a token; readout: a ridge regression on states
  rtrl, online     gradients forward in time: exact ones, and approximations
  flow             Jacobians of steps, and their products
"""

from . import (
    attention,
    augmented,
    embedding,
    encoder_decoder,
    feedback,
    fixed_point,
    flow,
    layers,
    online,
    readout,
    reversible,
    rtrl,
)
from .bptt import chunked, full
from .cells import cell_names, get_cell
from .clipping import clip_by_global_norm, clip_by_norm, clip_by_sequence_norm, clip_by_value
from .losses import HeadResult, LossResult, head_loss, loss_on_logits
from .truncation import truncated, weighted
from .unroll import Forward, Gradients, backward, forward, matmul

__all__ = [
    "Forward",
    "Gradients",
    "HeadResult",
    "LossResult",
    "attention",
    "augmented",
    "backward",
    "cell_names",
    "chunked",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_sequence_norm",
    "clip_by_value",
    "embedding",
    "encoder_decoder",
    "feedback",
    "fixed_point",
    "flow",
    "forward",
    "full",
    "get_cell",
    "head_loss",
    "layers",
    "loss_on_logits",
    "matmul",
    "online",
    "readout",
    "reversible",
    "rtrl",
    "truncated",
    "weighted",
]
