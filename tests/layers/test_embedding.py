"""Token inputs: an embedding is a one-hot product, and repeated tokens accumulate."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.layers.embedding import embed, embed_backward, one_hot

TOKENS = np.array([[3, 0], [1, 3], [3, 3]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_embedding_is_a_one_hot_product(dtype):
    rng = np.random.default_rng(0)
    table, dx = (rng.standard_normal(s).astype(dtype) for s in [(5, 4), (3, 2, 4)])
    hot = one_hot(TOKENS, 5, dtype)
    assert hot.dtype == dtype and hot.shape == (3, 2, 5)
    np.testing.assert_array_equal(embed(table, TOKENS), hot @ table)
    dtable = embed_backward(table, TOKENS, dx)
    assert dtable.dtype == dtype
    want = hot.reshape(6, 5).T @ dx.reshape(6, 4)
    np.testing.assert_allclose(dtable, want, rtol=1e-6, atol=1e-6)
    assert not dtable[[2, 4]].any()


def test_a_repeated_token_accumulates():
    dtable = embed_backward(np.zeros((5, 2)), TOKENS, np.ones((3, 2, 2)))
    np.testing.assert_array_equal(dtable[:, 0], [1, 1, 0, 4, 0])


@pytest.mark.parametrize(
    "tokens, message",
    [
        (np.array([5]), "a token is 5; allowed: 0 to 4"),
        (np.array([-1]), "a token is -1"),
        (np.array([1.0]), "tokens have dtype float64"),
    ],
)
def test_bad_tokens(tokens, message):
    for call in (
        lambda: one_hot(tokens, 5),
        lambda: embed(np.zeros((5, 2)), tokens),
        lambda: embed_backward(np.zeros((5, 2)), tokens, np.zeros((1, 2))),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_bad_gradient():
    with pytest.raises(InputError, match="dx has shape"):
        embed_backward(np.zeros((5, 2)), TOKENS, np.zeros((3, 2, 3)))
    with pytest.raises(InputError, match="dtype"):
        embed_backward(np.zeros((5, 2)), TOKENS, np.zeros((3, 2, 2), np.float32))
