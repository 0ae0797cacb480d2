"""Norms, radii and gradients along a sequence: exact powers, the reference, the textbook."""

import numpy as np
import pytest

import rnnbench_reference as ref
from rnnbench import cell_names, get_cell, get_target
from rnnbench.diagnostics import flow
from rnnbench.diagnostics.flow import (
    factor,
    follow,
    gradient_flow,
    gradient_norms,
    jacobians_backwards,
    largest_eigenvalue,
    largest_singular,
    loss_gradient,
    median,
    spectral_radii,
    state_gradients,
    step_jacobians,
)
from rnnbench.errors import InputError
from rnnbench.params import random_case
from rnnbench.target import reference_cell
from rnnbench_reference import flow as slow

LINEAR = "elman_tanh[activation=affine]"  # h' = W x + R h + b
PLAIN = get_target("plain")


def linear_path(R, T=6, B=2, state=0.0):
    """A linear recurrence with that matrix."""
    H = len(R)
    params = {"W": np.ones((H, 1)), "R": np.asarray(R, float), "b": np.arange(1.0, H + 1)}
    x = np.random.default_rng(0).standard_normal((T, B, 1))
    return follow(PLAIN, LINEAR, params, x, {"h": np.full((B, H), state)})


def random_path(cell, target=PLAIN, T=5, B=2, **sizes):
    case = random_case(cell, T=T, B=B, I=3, H=3, seed=4, ragged=False, **sizes)
    return case, follow(target, cell, case.params, case.x, case.state, case.inputs)


def reference_jacobians(case):
    cell = reference_cell(case.cell)
    inputs = {name: v for name, v in case.inputs.items()}
    return cell, slow.step_jacobians(cell, case.params, case.x, case.state, inputs)


def norms_of(matrices, order):
    """log₁₀ of the norms of matrices (B,·,·)."""
    with np.errstate(divide="ignore"):
        return np.log10([np.linalg.norm(m, order) for m in matrices])


def test_a_diagonal_linear_recurrence_gives_exact_powers():
    r = np.array([0.5, -0.9, 0.25])
    found = gradient_flow(linear_path(np.diag(r), T=40))
    lags = np.arange(41)
    want = lags * np.log10(0.9)
    # 40 roundings of a product, each 1e-16
    np.testing.assert_allclose(found.spectral, np.stack([want, want], 1), rtol=1e-13, atol=1e-14)
    want = np.log10(np.sqrt((r[None] ** (2.0 * lags[:, None])).sum(axis=1)))
    np.testing.assert_allclose(found.frobenius[:, 1], want, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(found.by_state["h"], found.spectral)
    assert factor(found.spectral) == pytest.approx(np.log10(0.9), rel=1e-13)


@pytest.mark.parametrize("r", [0.5, 3.0])
def test_norms_far_outside_float64(r):
    """0.5^2000 is 1e-602, 3^2000 is 1e954."""
    params = {"W": np.zeros((1, 1)), "R": np.array([[r]]), "b": np.zeros(1)}
    path = follow(PLAIN, LINEAR, params, np.zeros((2000, 1, 1)))
    found = gradient_flow(path)
    np.testing.assert_allclose(found.spectral[-1], 2000 * np.log10(r), rtol=1e-13)


def test_a_nilpotent_recurrence_ends_at_zero():
    """R shifts three units: after three steps nothing is left."""
    found = gradient_flow(linear_path(np.eye(3, k=1)))
    np.testing.assert_array_equal(found.spectral[:3], np.zeros((3, 2)))
    assert (found.spectral[3:] == -np.inf).all() and (found.frobenius[3:] == -np.inf).all()


def test_a_rotation_keeps_the_norm_and_has_the_radius():
    """Eigenvalues ρ e^{±iφ}, singular values ρ: radius ρ, norm ρ^lag."""
    c, s = np.cos(0.7), np.sin(0.7)
    path = linear_path(1.1 * np.array([[c, -s], [s, c]]))
    np.testing.assert_allclose(spectral_radii(path), 1.1, rtol=1e-14)
    want = np.arange(7)[:, None] * np.log10(1.1)
    np.testing.assert_allclose(gradient_flow(path).spectral, np.repeat(want, 2, 1), atol=1e-14)


def test_the_radius_of_a_known_matrix_is_not_its_norm():
    """Triangular: eigenvalues stand on the diagonal, the norm is far above."""
    R = np.array([[0.3, 50.0, -20.0], [0.0, -0.8, 7.0], [0.0, 0.0, 0.6]])
    path = linear_path(R)
    np.testing.assert_allclose(spectral_radii(path), 0.8, rtol=1e-12)
    assert largest_singular(R[None])[0] > 50
    first, last = gradient_flow(path).spectral[[1, -1], 0]
    assert first > 1.7 and last > 0  # a radius below 1 at every step, and growth all the same


@pytest.mark.parametrize("cell", cell_names())
def test_the_reference_agrees(cell):
    """Products of Jacobians by the complex step, of a second derivation of the cell."""
    case, path = random_path(cell)
    own, jacobians = reference_jacobians(case)
    np.testing.assert_allclose(
        step_jacobians(path, 0, 5), np.stack(jacobians), rtol=1e-10, atol=1e-12
    )
    widths = {name: history.shape[-1] for name, history in path.states.items()}
    products, found = slow.products(own, jacobians, widths), gradient_flow(path)
    for lag, matrices in enumerate(products):
        for got, order in ((found.spectral, 2), (found.frobenius, "fro")):
            np.testing.assert_allclose(got[lag], norms_of(matrices, order), rtol=0, atol=1e-9)
        for name, place in path.places.items():
            want = norms_of(matrices[:, :, place], 2)
            np.testing.assert_allclose(found.by_state[name][lag], want, rtol=0, atol=1e-8)
    radii = [np.abs(np.linalg.eigvals(m)).max(axis=-1) for m in jacobians]
    # a defective eigenvalue moves by the root of an error
    np.testing.assert_allclose(spectral_radii(path), radii, rtol=1e-5, atol=1e-7)
    want = slow.state_gradients(own, jacobians, case.dy, widths)
    got = np.concatenate(list(state_gradients(path, case.dy).values()), axis=-1)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("cell", cell_names())
def test_gradients_at_the_first_state_are_those_of_full_backpropagation(cell):
    case, path = random_path(cell)
    got = state_gradients(path, case.dy, case.dstate)
    run = PLAIN.forward(cell, case.params, case.x, case.state, None, case.inputs)
    want = PLAIN.backward(run.tape, case.dy, case.dstate).state
    for name in want:
        np.testing.assert_allclose(got[name][0], want[name], rtol=1e-11, atol=1e-13)
        last = case.dstate[name] + (case.dy[-1] if name == path.cell.spec.output else 0)
        np.testing.assert_array_equal(got[name][-1], last)
    every = np.concatenate(list(got.values()), axis=-1)[::-1]
    with np.errstate(divide="ignore"):
        norms = np.log10(np.linalg.norm(every, axis=-1))
    np.testing.assert_allclose(gradient_norms(got), norms, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_any_target(cell, target):
    _, want = random_path(cell)
    _, path = random_path(cell, get_target(target))
    np.testing.assert_allclose(
        gradient_flow(path).spectral, gradient_flow(want).spectral, rtol=0, atol=1e-12
    )


def test_blocks_change_nothing(monkeypatch):
    """A step at a time, two, or all; a row of J at a time, a few, or all."""
    _, path = random_path("lstm")
    found = []
    for size, rows in ((1, 1), (2 * 2 * 36, 13), (flow.BLOCK, 7), (flow.BLOCK, 10**6)):
        monkeypatch.setattr(flow, "BLOCK", size)
        monkeypatch.setattr(flow, "ROWS", rows)
        found.append(np.concatenate([J[None] for _, J in jacobians_backwards(path)]))
    for values in found[1:]:
        # products of other shapes may round otherwise
        np.testing.assert_allclose(values, found[0], rtol=1e-14, atol=1e-15)


def test_a_step_counter_goes_on_from_step_to_step():
    """Clockwork: which units run depends on the step's number, which must not start anew."""
    case, _ = random_path("clockwork")
    path = follow(PLAIN, "clockwork", case.params, case.x, case.state)
    H = 3
    rows = [J[0] == np.eye(H) for J in step_jacobians(path, 0, 5)]
    kept = np.array([r.all(axis=1) for r in rows])
    assert not kept[0].any() and kept[1:].any()


def test_float32_is_kept():
    case = random_case("gru", T=4, B=2, I=3, H=3, dtype=np.float32, ragged=False)
    path = follow(PLAIN, "gru", case.params, case.x, case.state)
    assert step_jacobians(path, 0, 4).dtype == np.float32
    assert np.isfinite(gradient_flow(path).spectral).all()


def test_nan_stays_in_its_sequence():
    path = linear_path(np.diag([0.5, 0.25]))
    matrices = np.stack([np.eye(2), np.full((2, 2), np.nan)])
    np.testing.assert_array_equal(largest_singular(matrices), [1, np.nan])
    np.testing.assert_array_equal(largest_eigenvalue(matrices), [1, np.nan])
    bad = gradient_flow(linear_path(np.full((2, 2), np.inf), T=2))
    assert not np.isfinite(bad.spectral[1:]).any()
    assert np.isfinite(gradient_flow(path).spectral).all()


@pytest.mark.parametrize("every", [False, True])
def test_the_loss_has_a_gradient_of_length_one(every):
    _, path = random_path("lstm")
    dy = loss_gradient(path, every, seed=1)
    norms = np.linalg.norm(dy, axis=-1)
    np.testing.assert_allclose(norms if every else norms[-1:], 1, rtol=1e-14)
    assert every or not dy[:-1].any()
    np.testing.assert_array_equal(dy, loss_gradient(path, every, seed=1))
    assert not np.array_equal(dy, loss_gradient(path, every, seed=2))


def test_median():
    values = np.array([[3.0, 1.0, 2.0], [np.nan, 1.0, 2.0], [-np.inf, 5.0, -np.inf]])
    np.testing.assert_array_equal(median(values), [2, np.nan, -np.inf])
    np.testing.assert_array_equal(median(values[:1, :2]), [2])
    assert np.isnan(median(np.array([-np.inf, np.inf])))


def test_bad_input_is_the_targets():
    case, _ = random_path("lstm")
    with pytest.raises(InputError, match="unknown cell"):
        follow(PLAIN, "lsmt", case.params, case.x)
    with pytest.raises(InputError, match="T must be at least 1"):
        follow(PLAIN, "lstm", case.params, case.x[:0])
    with pytest.raises(InputError, match="parameter W has shape"):
        follow(PLAIN, "lstm", case.params, case.x[:, :, :1])


class Wrong:
    """A target with a mistake in what it sends back."""

    def __init__(self, mistake):
        self.mistake = mistake

    def forward(self, *arguments, **named):
        return PLAIN.forward(*arguments, **named)

    def backward(self, tape, dy=None, dstate=None):
        gradients = PLAIN.backward(tape, dy, dstate)
        return gradients._replace(state=self.mistake(gradients.state))


MISTAKES = {
    "0.1 % off": lambda state: {k: v * 1.001 for k, v in state.items()},
    "c left out": lambda state: state | {"c": np.zeros_like(state["c"])},
    "h and c swapped": lambda state: {"h": state["c"], "c": state["h"]},
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mistake_is_caught(mistake):
    case, path = random_path("lstm", Wrong(mistake))
    _, jacobians = reference_jacobians(case)
    wrong = step_jacobians(path, 0, 5)
    assert np.abs(wrong - np.stack(jacobians)).max() > 1e-4
    _, right = random_path("lstm")
    assert np.abs(gradient_flow(path).spectral - gradient_flow(right).spectral).max() > 1e-5


def test_a_product_in_the_wrong_order_is_caught():
    """The order of Jacobians decides: the check above would see J_t ⋯ J_{T−1}."""
    case, path = random_path("lstm")
    own, jacobians = reference_jacobians(case)
    widths = {name: history.shape[-1] for name, history in path.states.items()}
    turned = slow.products(own, jacobians[::-1], widths)
    assert abs(norms_of(turned[-1], 2)[0] - gradient_flow(path).spectral[-1, 0]) > 1e-3
    assert get_cell("lstm").spec.output == "h"  # the first rows of S
    assert ref.get_cell("lstm").output == "h"


def test_gradients_at_the_ends_are_checked():
    """Nothing is broadcast or cast, nothing of a longer sequence is left out."""
    case, path = random_path("lstm")
    dy = case.dy
    wrong = {
        "dy has shape": [dy[:4], dy[:, :1], dy[..., :1], np.concatenate([dy, dy[:1]])],
        "dy has dtype": [dy.astype(np.float32), np.ones(dy.shape, int), None],
    }
    for message, values in wrong.items():
        for value in values:
            with pytest.raises(InputError, match=message):
                state_gradients(path, value)
    for message, dstate in {
        "unknown dstate": {"k": np.zeros((3, 4))},
        "dstate h has shape": {"h": np.zeros((1, 4))},
        "dstate is a list": [1],
    }.items():
        with pytest.raises(InputError, match=message):
            state_gradients(path, dy, dstate)


@pytest.mark.parametrize("steps", [(0, 6), (-1, 2), (2, 2), (3, 1), (0.0, 2)])
def test_steps_that_are_not_there(steps):
    with pytest.raises(InputError):
        step_jacobians(random_path("gru")[1], *steps)
