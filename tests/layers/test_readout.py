"""The ridge readout against the reference, its optimality condition and a task it must learn."""

import numpy as np
import pytest

from rnnbench import get_cell, get_target
from rnnbench.errors import InputError
from rnnbench.layers.heads import head_loss
from rnnbench.layers.readout import collect, fit_ridge
from rnnbench_reference import readout as reference

T, B, H, K = 9, 4, 6, 3
LENGTHS = np.array([7, 9, 2, 0])
WASHOUT = 3


def histories(dtype=np.float64, seed=0):
    """States (T,B,H) far from centred, and targets (T,B,K)."""
    rng = np.random.default_rng(seed)
    states = 2 + rng.standard_normal((T, B, H))
    return states.astype(dtype), rng.standard_normal((T, B, K)).astype(dtype)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ridge", [0, 1e-3, 2.5])
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-11), (np.float32, 1e-6)])
def test_against_the_reference(bias, ridge, dtype, rtol):
    states, targets = histories(dtype)
    got = fit_ridge(collect(states), collect(targets), ridge, bias)
    wide = states.astype(np.float64), targets.astype(np.float64)
    for g, w in zip(got, reference.fit_ridge(*wide, ridge, bias), strict=True):
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)
        assert g.dtype == dtype
    assert got[0].shape == (K, H) and got[1].shape == (K,)


@pytest.mark.parametrize("ridge", [0, 0.7])
def test_gradient_vanishes(ridge):
    states, targets = histories()
    weight, bias = fit_ridge(collect(states, LENGTHS), collect(targets, LENGTHS), ridge)

    def gradient(weight, bias):
        head = head_loss(
            "squared", get_target("reference"), states, weight, bias, targets, LENGTHS,
            reduction="sum",
        )  # fmt: skip
        return np.append(head.dweight + ridge * weight, head.dbias)

    assert np.abs(gradient(weight, bias)).max() < 1e-12
    assert np.abs(gradient(weight + 1e-3, bias)).max() > 1e-3
    assert np.abs(gradient(weight, bias + 1e-3)).max() > 1e-3


def test_washout_and_lengths():
    states, targets = histories()
    got = fit_ridge(*(collect(a, LENGTHS, WASHOUT) for a in (states, targets)), 0.1)
    want = reference.fit_ridge(states, targets, 0.1, lengths=LENGTHS, washout=WASHOUT)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-11)

    kept = (np.arange(T)[:, None] < LENGTHS) & (np.arange(T)[:, None] >= WASHOUT)
    assert kept.sum() == 4 + 6 == len(collect(states, LENGTHS, WASHOUT))
    states[~kept], targets[~kept] = np.nan, np.nan
    again = fit_ridge(*(collect(a, LENGTHS, WASHOUT) for a in (states, targets)), 0.1)
    np.testing.assert_array_equal(np.hstack([again[0], again[1][:, None]]),
                                  np.hstack([got[0], got[1][:, None]]))  # fmt: skip


def test_rows_of_states_and_targets_stay_together():
    """Targets made from the states by a known map: found again, to rounding."""
    states, _ = histories()
    weight, bias = histories(seed=1)[1][:2, :, :].reshape(-1, 6)[:3], np.array([5.0, -1.0, 0.0])
    found = fit_ridge(
        collect(states, LENGTHS, 1), collect(states @ weight.T + bias, LENGTHS, 1), 0.0
    )
    np.testing.assert_allclose(found[0], weight, rtol=1e-10)
    np.testing.assert_allclose(found[1], bias, atol=1e-10)


def test_ill_conditioned_states():
    """Columns equal to 1e-9: normal equations lose all digits (1e-18), this route half of them."""
    rng = np.random.default_rng(0)
    one = rng.standard_normal((50, 1))
    states = np.hstack([one, one + 1e-9 * rng.standard_normal((50, 1))])
    weight, _ = fit_ridge(states, states @ [[1.0], [2.0]], 0.0)
    np.testing.assert_allclose(weight, [[1.0, 2.0]], atol=1e-5)


def test_more_states_than_rows():
    """Without a penalty the smallest of the exact solutions: that of a vanishing penalty."""
    rng = np.random.default_rng(0)
    states, targets = rng.standard_normal((4, H)), rng.standard_normal((4, K))
    weight, bias = fit_ridge(states, targets, 0.0)
    np.testing.assert_allclose(states @ weight.T + bias, targets, atol=1e-12)
    np.testing.assert_allclose(weight, fit_ridge(states, targets, 1e-9)[0], rtol=1e-6)


def test_esn_recalls_its_input():
    """Memory task (Jaeger 2001): the input 1, 3 and 6 steps ago, from the state alone."""
    delays, hidden, steps = (1, 3, 6), 40, 300
    rng = np.random.default_rng(0)
    R = rng.standard_normal((hidden, hidden))
    params = {
        "W": rng.uniform(-0.3, 0.3, (hidden, 1)),
        "R": 0.9 * R / np.abs(np.linalg.eigvals(R)).max(),
        "b": np.zeros(hidden),
    }
    x = rng.uniform(-0.5, 0.5, (steps, 2, 1))
    labels = np.concatenate([np.roll(x, delay, axis=0) for delay in delays], axis=2)
    y = get_target("reference").forward(get_cell("esn"), params, x).y
    fitted, fresh = (slice(0, 1), slice(1, 2))
    rows = [collect(a[:, fitted], washout=50) for a in (y, labels)]
    weight, bias = fit_ridge(*rows, 1e-8)

    error = collect(y[:, fresh] @ weight.T + bias - labels[:, fresh], washout=50)
    assert (error.std(axis=0) / labels.std()).max() < 0.1
    # the input of this step alone knows nothing of the earlier ones
    weight, bias = fit_ridge(collect(x[:, fitted], washout=50), rows[1], 1e-8)
    error = collect(x[:, fresh] @ weight.T + bias - labels[:, fresh], washout=50)
    assert (error.std(axis=0) / labels.std()).min() > 0.9


def bad(message, **changes):
    return pytest.param(changes, message, id=message)


@pytest.mark.parametrize(
    "changes, message",
    [
        bad("states has 1 dimensions", states=np.zeros(3)),
        bad("need \\(N, H\\)", states=np.zeros((4, H))),
        bad("need \\(N, H\\)", states=np.zeros((5, 0))),
        bad("give one dtype", states=np.zeros((5, H), np.float32)),
        bad("has dtype int64", states=np.zeros((5, H), np.int64)),
        bad("NaN or inf", targets=np.full((5, K), np.nan)),
        bad("ridge is -1", ridge=-1),
        bad("ridge is nan", ridge=float("nan")),
        bad("ridge is True", ridge=True),
        bad("ridge is 1000", ridge=10**400),
        bad(r"ridge is array\(\[\[1., 1.\], \[1., 1.\]\]\); needs", ridge=np.ones((2, 2))),
        bad("bias is 'no'; needs True or False", bias="no"),
        bad("bias is array", bias=np.ones(2)),
    ],
)
def test_bad_input(changes, message):
    case = {"states": np.ones((5, H)), "targets": np.ones((5, K)), "ridge": 1.0} | changes
    with pytest.raises(InputError, match=message) as raised:
        fit_ridge(**case)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changes, message",
    [
        bad("history has 2 dimensions", history=np.zeros((T, H))),
        bad("washout is -1", washout=-1),
        bad("a length is 10", lengths=[10, 1, 1, 1]),
        bad("no step remains", washout=T),
        bad("no step remains", washout=5, lengths=[5, 1, 0, 2]),
    ],
)
def test_bad_history(changes, message):
    with pytest.raises(InputError, match=message):
        collect(**{"history": np.zeros((T, B, H))} | changes)
