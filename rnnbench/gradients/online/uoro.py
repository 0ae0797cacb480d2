"""UORO, unbiased online recurrent optimisation: the influence as one random outer product.

Tallec & Ollivier 2017, arXiv:1702.05043, eqs. 8-10 and section 3: M ≈ s̃ ⊗ θ̃. A step replaces the
immediate part F = ∂s'/∂θ|s by ν ⊗ νᵀF with random signs ν, and the sum of the two outer products
by the outer product of the two sums: what it adds has mean 0.
"""

import numpy as np

from rnnbench.gradients.online.algorithm import Algorithm, Network, balance, sign_source
from rnnbench.gradients.online.local import LocalStep


class UORO(Algorithm):
    """signs: a seed, a Generator, or a function of a shape (B,n), one call a step.

    The scales ρ are the paper's, without its ε (a part that is 0 is not scaled)."""

    name = "uoro"
    source = "Tallec & Ollivier 2017, arXiv:1702.05043, section 3"
    kind = "unbiased"
    time, memory = "S P", "P + n"

    def __init__(self, signs=0):
        self.signs = signs
        sign_source(signs, np.dtype(np.float64))  # bad ones are found here

    def start(self, network: Network) -> None:
        self.network, self.draw = network, sign_source(self.signs, network.dtype)
        self.states = np.zeros((network.batch, network.layout.n), network.dtype)
        self.entries = np.zeros((network.batch, network.layout.N), network.dtype)

    def advance(self, step: LocalStep) -> None:
        layout = self.network.layout
        nu = self.draw(self.states.shape)
        carried = step.times(self.states[:, :, None])[:, :, 0]
        fresh, rows = np.empty_like(self.entries), step.pull(nu)
        for i, (place, view) in enumerate(zip(layout.places, layout.split(fresh), strict=True)):
            view[...] = rows[:, place.rows, None] * step.source(i)[:, None, :]
        rho = [balance(self.entries, carried)[:, None], balance(fresh, nu)[:, None]]
        self.states = step.hold(rho[0] * carried + rho[1] * nu, self.states)
        self.entries = step.hold(self.entries / rho[0] + fresh / rho[1], self.entries)

    def contract(self, ds: np.ndarray) -> np.ndarray:
        return np.einsum("b,be->e", np.einsum("bn,bn->b", ds, self.states), self.entries)
