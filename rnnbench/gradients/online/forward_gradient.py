"""The forward gradient: one directional derivative, along a random direction, times the direction.

Baydin, Pearlmutter, Syme, Wood & Torr 2022, arXiv:2202.08587, eqs. 1-2: g = (∇L · v) v, with the
tangent of the states along v carried forwards. E[v vᵀ] = 1 makes it unbiased; signs do, and have
less variance than the paper's normal numbers.
"""

from collections.abc import Callable

import numpy as np

from rnnbench.gradients.online.algorithm import Algorithm, Network, sign_source
from rnnbench.gradients.online.local import LocalStep


class ForwardGradient(Algorithm):
    """signs: a seed, a Generator, or a function of a shape, one call a parameter at the start, in
    the spec's order. One direction serves the whole batch and the whole sequence."""

    name = "forward_gradient"
    source = "Baydin et al. 2022, arXiv:2202.08587, eqs. 1-2"
    kind = "unbiased"
    time, memory = "S P", "P + n"

    def __init__(self, signs=0):
        self.signs = signs
        sign_source(signs, np.dtype(np.float64))  # bad ones are found here

    def start(self, network: Network) -> None:
        self.network, draw = network, sign_source(self.signs, network.dtype)
        shapes = {name: value.shape for name, value in network.params.items()}
        self.direction = {name: draw(shape).reshape(shape) for name, shape in shapes.items()}
        # the trained matrices' direction as one of those that are used: transforms are affine
        zero = {name: np.zeros_like(v) for name, v in self.direction.items()}
        used, origin = (
            network.target.used(network.cell, network.dtype, v) for v in (self.direction, zero)
        )
        moved = {name: used[name] - origin[name] for name in used}
        self.entries = network.layout.split(network.layout.spread(moved, network.dtype))
        self.tangent = np.zeros((network.batch, network.layout.n), network.dtype)

    def advance(self, step: LocalStep) -> None:
        layout, matmul = self.network.layout, self.network.target.matmul
        moved = np.empty((len(self.tangent), layout.R), self.tangent.dtype)
        for i, (place, along) in enumerate(zip(layout.places, self.entries, strict=True)):
            moved[:, place.rows] = matmul(step.source(i), along.T)
        self.tangent = step.times(self.tangent[:, :, None])[:, :, 0] + step.push(moved)

    def gradients(self, ds: np.ndarray, trained: Callable) -> dict[str, np.ndarray]:
        slope = np.einsum("bn,bn->", ds, self.tangent)
        return {name: np.asarray(slope * v) for name, v in self.direction.items()}
