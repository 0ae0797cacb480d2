"""Clipping of the reference by arrays and by sequences; the global norm: test_reference_bptt."""

import numpy as np
import pytest

from rnnbench_reference.clipping import clip_by_norm, clip_by_sequence_norm

GRADS = {"h": np.array([[3.0, 0.0], [0.3, 0.0]]), "c": np.array([[4.0], [0.4]])}


def test_by_norm_of_each_array():
    """h has the norm √9.09, c √16.16."""
    clipped, norms = clip_by_norm(GRADS, 3.5)
    assert norms["h"] == pytest.approx(9.09**0.5) and norms["c"] == pytest.approx(16.16**0.5)
    np.testing.assert_array_equal(clipped["h"], GRADS["h"])
    np.testing.assert_allclose(clipped["c"], GRADS["c"] * 3.5 / 16.16**0.5)


def test_by_norm_of_each_sequence():
    """Sequence 0 has the norm 5, sequence 1 the norm ½."""
    clipped, norms = clip_by_sequence_norm(GRADS, 1.0)
    np.testing.assert_allclose(norms, [5.0, 0.5])
    np.testing.assert_allclose(clipped["h"], [[0.6, 0.0], [0.3, 0.0]])
    np.testing.assert_allclose(clipped["c"], [[0.8], [0.4]])
    np.testing.assert_array_equal(clipped["c"][1], GRADS["c"][1])


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_sequence_norm])
def test_what_is_not_finite_is_refused(clip):
    bad = {"h": np.array([[1.0], [np.nan]])}
    with pytest.raises(ValueError, match="h: NaN or inf in the gradient"):
        clip(bad, 1.0)
    with pytest.raises(ValueError, match="max_norm: 0, expected a number above 0"):
        clip(GRADS, 0)
