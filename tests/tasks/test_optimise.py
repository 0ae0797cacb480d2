"""Adam against the paper's second form, and the falling learning rate."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.tasks.optimise import Adam, cosine_rate


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_adam_equals_the_papers_efficient_form(dtype, rtol):
    """α_t = α √(1−β2ᵗ) / (1−β1ᵗ), ε̂ = ε √(1−β2ᵗ) (section 2 of the paper)."""
    rng = np.random.default_rng(0)
    p = rng.standard_normal((3, 4)).astype(dtype)
    params, want, m, v = {"p": p}, p.astype(float), 0.0, 0.0
    optimiser = Adam(beta1=0.8, beta2=0.99, epsilon=1e-3)
    for t in range(1, 6):
        g = rng.standard_normal((3, 4)).astype(dtype)
        params = optimiser.update(params, {"p": g}, 0.01 * t)
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g.astype(float) ** 2
        root = np.sqrt(1 - 0.99**t)
        want = want - 0.01 * t * root / (1 - 0.8**t) * m / (np.sqrt(v) + 1e-3 * root)
    assert params["p"].dtype == dtype
    np.testing.assert_allclose(params["p"], want, rtol=rtol)


def test_the_first_step_is_the_sign_and_nothing_is_written_to():
    p, g = np.array([1.0, 2.0, 3.0]), np.array([5.0, -0.01, 0.0])
    new = Adam().update({"p": p}, {"p": g}, 0.1)["p"]
    np.testing.assert_allclose(new, [0.9, 2.1, 3.0], rtol=1e-6)
    np.testing.assert_array_equal(p, [1, 2, 3])


def test_the_rate_falls_from_start_towards_a_tenth():
    rates = [cosine_rate(step, 100, 0.5) for step in range(101)]
    assert rates[0] == 0.5
    assert rates[50] == pytest.approx(0.5 * 0.55)
    assert rates[100] == pytest.approx(0.05)
    assert (np.diff(rates) < 0).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Adam(beta1=1.0), "beta1 is 1.0"),
        (lambda: Adam(beta2=-0.1), "beta2 is -0.1"),
        (lambda: Adam(epsilon=0), "epsilon is 0"),
        (lambda: Adam().update({"p": np.ones(2)}, {"p": np.ones(2)}, 0.0), "learning rate is 0"),
        (lambda: Adam().update({"p": np.ones(2)}, {"q": np.ones(2)}, 0.1), "gradients of"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
