"""Clipping: nothing below the threshold, the stated norm above it, NaN and inf reported."""

import numpy as np
import pytest

import rnnbench_reference as reference
from rnnbench.errors import InputError, NonFiniteGradient
from rnnbench.gradients.clipping import clip_by_global_norm, clip_by_value


def example(dtype=np.float64):
    rng = np.random.default_rng(0)
    return {n: rng.standard_normal(s).astype(dtype) for n, s in {"W": (5, 3), "b": (4,)}.items()}


def norm_of(grads):
    return np.sqrt(sum(np.square(g.astype(np.float64)).sum() for g in grads.values()))


def test_known_answer():
    clipped, norm = clip_by_global_norm({"a": np.array([3.0]), "b": np.array([[4.0]])}, 1.0)
    assert norm == 5.0
    np.testing.assert_allclose(clipped["a"], [0.6], rtol=1e-15)
    np.testing.assert_allclose(clipped["b"], [[0.8]], rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_sides_of_the_threshold(dtype):
    grads = example(dtype)
    norm = norm_of(grads)
    for factor in (1 + 1e-6, 10.0):
        clipped, found = clip_by_global_norm(grads, factor * norm)
        assert found == pytest.approx(norm, rel=1e-12)
        for name in grads:
            np.testing.assert_array_equal(clipped[name], grads[name])
            assert clipped[name] is not grads[name]
    for factor in (1 - 1e-6, 0.1):
        clipped, found = clip_by_global_norm(grads, factor * norm)
        assert found == pytest.approx(norm, rel=1e-12)
        assert norm_of(clipped) == pytest.approx(factor * norm, rel=1e-7)
        for name in grads:
            assert clipped[name].dtype == dtype
            np.testing.assert_allclose(clipped[name], factor * grads[name], rtol=1e-6)


def test_exactly_at_the_threshold_is_unchanged():
    clipped, norm = clip_by_global_norm({"a": np.array([3.0, 4.0])}, 5.0)
    assert norm == 5.0
    np.testing.assert_array_equal(clipped["a"], [3.0, 4.0])


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_squares_neither_overflow_nor_vanish(scale):
    grads = {name: scale * g for name, g in example().items()}
    clipped, norm = clip_by_global_norm(grads, 0.5 * scale)
    want, want_norm = reference.clip_by_global_norm(grads, 0.5 * scale)
    assert norm == pytest.approx(want_norm, rel=1e-14)
    assert norm == pytest.approx(scale * norm_of(example()), rel=1e-14)
    for name in grads:
        np.testing.assert_allclose(clipped[name], want[name], rtol=1e-14)


def test_zero_and_empty_gradients():
    clipped, norm = clip_by_global_norm({"a": np.zeros(3), "none": np.zeros((0, 2))}, 1.0)
    assert norm == 0.0
    np.testing.assert_array_equal(clipped["a"], np.zeros(3))
    assert clip_by_global_norm({}, 1.0) == ({}, 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_by_value(dtype):
    grads = {"a": np.array([-2.0, -0.5, 0.0, 0.5, 2.0], dtype)}
    clipped = clip_by_value(grads, 0.75)
    assert clipped["a"].dtype == dtype
    np.testing.assert_array_equal(clipped["a"], np.array([-0.75, -0.5, 0.0, 0.5, 0.75], dtype))
    np.testing.assert_array_equal(clip_by_value(grads, 2.0)["a"], grads["a"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("clip", [clip_by_global_norm, clip_by_value])
def test_what_is_not_finite_is_reported_by_name(clip, bad):
    grads = example()
    grads["b"][2] = bad
    with pytest.raises(NonFiniteGradient, match=r"gradient b holds .*1 of 4"):
        clip(grads, 1.0)


@pytest.mark.parametrize("threshold", [0, -1.0, np.nan, np.inf, "1", None, True])
@pytest.mark.parametrize("clip", [clip_by_global_norm, clip_by_value])
def test_bad_threshold(clip, threshold):
    with pytest.raises(InputError, match="finite number above 0"):
        clip(example(), threshold)


@pytest.mark.parametrize("clip", [clip_by_global_norm, clip_by_value])
def test_bad_gradients(clip):
    with pytest.raises(InputError, match="gradient a has dtype int64"):
        clip({"a": np.arange(3)}, 1.0)
    with pytest.raises(InputError, match="mapping"):
        clip([np.zeros(3)], 1.0)
