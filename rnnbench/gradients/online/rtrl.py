"""Real-time recurrent learning: the exact gradient, forwards.

Williams & Zipser 1989, "A learning algorithm for continually running fully recurrent neural
networks", Neural Computation 1(2), eqs. 5-8. The influence M_t = ∂s_t/∂θ follows
M_t = J_t M_{t−1} + ∂s_t/∂θ|s_{t−1}, and the gradient of a loss of step t is (∂L_t/∂s_t) M_t.
Here θ are the entries of ``layout.py`` and the initial states.
"""

import numpy as np

from rnnbench.gradients.online.algorithm import Algorithm, Network
from rnnbench.gradients.online.local import LocalStep


class RTRL(Algorithm):
    """Exact for any cell, and for any loss at any step; what it costs is the influence."""

    name = "rtrl"
    source = "Williams & Zipser 1989, Neural Computation 1(2)"
    kind = "exact"
    time, memory = "n H P", "n P"

    def start(self, network: Network) -> None:
        self.network = network
        n, N = network.layout.n, network.layout.N
        self.influence = np.zeros((network.batch, n, N + n), network.dtype)
        self.influence[:, :, N:] = np.eye(n)

    def advance(self, step: LocalStep) -> None:
        layout, new = self.network.layout, step.times(self.influence)
        views = layout.split(new[:, :, : layout.N])
        for name, blocks in step.injection.items():
            at = layout.states[name]
            for i, block in blocks.items():
                source, part = step.source(i), views[i][:, at]
                if block.ndim == 3:
                    part += block[:, :, :, None] * source[:, None, None, :]
                    continue
                unit = np.arange(block.shape[1])
                part[:, unit, unit] += block[:, :, None] * source[:, None, :]
        self.influence = new

    def contract(self, ds: np.ndarray) -> np.ndarray:
        entries = self.influence[:, :, : self.network.layout.N]
        return np.einsum("bn,bne->e", ds, entries)

    def initial(self, ds: np.ndarray) -> np.ndarray:
        return np.einsum("bn,bnm->bm", ds, self.influence[:, :, self.network.layout.N :])
