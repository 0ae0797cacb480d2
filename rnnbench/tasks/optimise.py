"""Optimisers: parameters and gradients by name in, new parameters out. Elementwise NumPy only,
so the same inputs give the same bits."""

import math
from collections.abc import Mapping

import numpy as np

from rnnbench.errors import InputError
from rnnbench.gradients.clipping import check_positive


class Adam:
    """Kingma & Ba 2014 (arXiv:1412.6980), algorithm 1, with bias correction.

    m ← β1 m + (1−β1) g         v ← β2 v + (1−β2) g²
    p ← p − α (m / (1−β1ᵗ)) / (√(v / (1−β2ᵗ)) + ε)
    """

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
        for name, value in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= value < 1:
                raise InputError(f"{name} is {value!r}; needs 0 <= {name} < 1")
        self.beta1, self.beta2, self.epsilon = beta1, beta2, check_positive("epsilon", epsilon)
        self.steps = 0
        self.first: dict[str, np.ndarray] = {}
        self.second: dict[str, np.ndarray] = {}

    def update(
        self, params: Mapping[str, np.ndarray], grads: Mapping[str, np.ndarray], rate: float
    ) -> dict[str, np.ndarray]:
        """New parameters after one step at learning rate ``rate``; dtypes are kept."""
        check_positive("learning rate", rate)
        if set(params) != set(grads):
            raise InputError(f"gradients of {sorted(grads)}; needs those of {sorted(params)}")
        self.steps += 1
        scale1 = 1 - self.beta1**self.steps
        scale2 = 1 - self.beta2**self.steps
        result = {}
        for name, p in params.items():
            g = grads[name]
            m = self.beta1 * self.first.get(name, 0) + (1 - self.beta1) * g
            v = self.beta2 * self.second.get(name, 0) + (1 - self.beta2) * np.square(g)
            self.first[name], self.second[name] = m, v
            result[name] = p - rate * (m / scale1) / (np.sqrt(v / scale2) + self.epsilon)
        return result


def cosine_rate(step: int, steps: int, start: float, final: float = 0.1) -> float:
    """Learning rate of step 0 … steps-1, falling from ``start`` towards ``final · start``.

    Half a cosine, after Loshchilov & Hutter 2016 (arXiv:1608.03983), eq. 5, without restarts.
    """
    return start * (final + (1 - final) * (1 + math.cos(math.pi * step / steps)) / 2)
