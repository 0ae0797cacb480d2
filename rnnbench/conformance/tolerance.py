"""How far a right implementation may be from the exact result.

A step rounds sums of I + H products; T steps hand the errors on; a parameter's gradient adds up
to T·B terms. With weights of variance 1/columns one step enlarges an error by a factor near one,
so that errors grow about linearly with T (Higham 2002, "Accuracy and Stability of Numerical
Algorithms", section 3.1: |error| ≤ n u Σ|terms| for a sum of n terms). Hence, relative to the
larger of 1 (values and pre-activations are of order one) and the array's largest element:

    tolerance = T · (I + H + B) · eps,      eps = 2^-52 (float64), 2^-23 (float32)

Right implementations stay below a tenth of it, and in float32 it is still far below an error of
0.1 %; the tests check both.
"""

import numpy as np


def tolerance(dtype, sizes: dict[str, int], expected: np.ndarray) -> float:
    """Largest allowed absolute error of any element. sizes: T, B, I, H."""
    growth = sizes["T"] * (sizes["I"] + sizes["H"] + sizes["B"])
    return growth * float(np.finfo(dtype).eps) * max(1.0, float(np.abs(expected).max()))


def departs(got: np.ndarray, expected: np.ndarray, dtype, sizes: dict[str, int]) -> np.ndarray:
    """Where got is beyond the tolerance: bool, of the arrays' shape. NaN departs."""
    error = np.abs(np.asarray(got, np.float64) - expected)
    return ~(error <= tolerance(dtype, sizes, expected))
