"""Token inputs: an embedding is a one-hot product, and repeated tokens accumulate."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.layers.embedding import embed, embed_backward, one_hot
from rnnbench_reference import embedding as reference

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


def test_a_token_repeated_thousands_of_times_keeps_its_precision():
    """One float32 after another would lose a thousandth of the sum here."""
    tokens, dx = np.zeros((50_000, 2), int), np.full((50_000, 2, 1), 0.1, np.float32)
    dtable = embed_backward(np.zeros((2, 1), np.float32), tokens, dx)
    assert dtable.dtype == np.float32
    np.testing.assert_allclose(dtable[:, 0], [100_000 * np.float64(dx[0, 0, 0]), 0], rtol=1e-7)


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


LENGTHS = np.array([2, 3, 0])
RAGGED = np.array([[3, 0, 9], [3, 4, -1], [7, 3, 5]])  # tokens past the end need not be any


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ragged_tokens_against_the_reference(dtype):
    """Bit for bit: both add in the order of the tokens, in float64."""
    rng = np.random.default_rng(1)

    def summed(tokens, dx, lengths=None):
        wide = table.astype(np.float64), tokens, dx.astype(np.float64), lengths
        return reference.embed_backward(*wide).astype(dtype)

    table, dx = (rng.standard_normal(s).astype(dtype) for s in [(5, 4), (3, 3, 4)])
    dx[np.arange(3)[:, None] >= LENGTHS] = np.nan
    x = embed(table, RAGGED, LENGTHS)
    dtable = embed_backward(table, RAGGED, dx, LENGTHS)
    assert x.dtype == dtable.dtype == dtype
    np.testing.assert_array_equal(x, reference.embed(table, RAGGED, LENGTHS))
    np.testing.assert_array_equal(dtable, summed(RAGGED, dx, LENGTHS))
    assert not x[np.arange(3)[:, None] >= LENGTHS].any()
    whole = rng.standard_normal(x.shape).astype(dtype)
    tokens = TOKENS[:, [0, 1, 0]]
    np.testing.assert_array_equal(embed_backward(table, tokens, whole), summed(tokens, whole))


def test_overwriting_a_repeated_token_is_caught():
    """A sum over fancy indices keeps only the last of equal ones."""
    rng = np.random.default_rng(2)
    table, dx = rng.standard_normal((5, 4)), rng.standard_normal((3, 2, 4))
    wrong = np.zeros_like(table)
    wrong[TOKENS.ravel()] += dx.reshape(-1, 4)
    want = reference.embed_backward(table, TOKENS, dx)
    np.testing.assert_array_equal(embed_backward(table, TOKENS, dx), want)
    assert not np.allclose(wrong, want)


def test_gradient_by_finite_differences():
    """The loss is linear in the table: differences are exact up to rounding."""
    rng = np.random.default_rng(3)
    table, dx, along = (rng.standard_normal(s) for s in [(5, 4), (3, 3, 4), (5, 4)])
    dtable = embed_backward(table, RAGGED, dx, LENGTHS)
    ahead, behind = ((embed(table + e * along, RAGGED, LENGTHS) * dx).sum() for e in (0.5, -0.5))
    assert (dtable * along).sum() == pytest.approx(ahead - behind, rel=1e-13)


@pytest.mark.parametrize(
    "tokens, lengths, message",
    [
        (RAGGED, np.array([3, 3, 0]), "a token is 7; allowed: 0 to 4"),
        (RAGGED, np.array([4, 3, 0]), "a length is 4"),
        (RAGGED, np.array([2, 3]), "lengths have shape"),
        (RAGGED[0], LENGTHS, r"tokens have shape \(3,\)"),
    ],
)
def test_bad_lengths(tokens, lengths, message):
    with pytest.raises(InputError, match=message):
        embed(np.zeros((5, 4)), tokens, lengths)
