"""Tokens as input vectors: one-hot, or rows of a trained table."""

import numpy as np

from rnnbench.checks import as_array, check_array, check_count, check_dtype, check_lengths
from rnnbench.errors import InputError


def check_tokens(tokens, vocabulary_size: int, valid: np.ndarray | None = None) -> np.ndarray:
    """Integers in 0 … vocabulary_size-1, of any shape; InputError else.

    valid: a mask of their shape; the others are not looked at and come back as 0.
    """
    tokens = as_array("tokens", tokens)
    if tokens.dtype.kind not in "iu":
        raise InputError(f"tokens have dtype {tokens.dtype}; need integers")
    tokens = tokens if valid is None else np.where(valid, tokens, 0)
    bad = tokens[(tokens < 0) | (tokens >= vocabulary_size)]
    if bad.size:
        raise InputError(f"a token is {bad[0]}; allowed: 0 to {vocabulary_size - 1}")
    return tokens


def valid_tokens(tokens, lengths) -> np.ndarray | None:
    """(T,B) bool, the tokens before their sequence's end; None where all are."""
    if lengths is None:
        return None
    shape = np.shape(as_array("tokens", tokens))
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"tokens have shape {shape}; with lengths they need (T, B), at least 1")
    return np.arange(shape[0])[:, None] < check_lengths(lengths, *shape)


def one_hot(tokens, vocabulary_size: int, dtype=np.float32) -> np.ndarray:
    """(...,) integers -> (..., vocabulary_size), 1 at the token's place and 0 elsewhere."""
    check_count("vocabulary_size", vocabulary_size)
    tokens = check_tokens(tokens, vocabulary_size)
    result = np.zeros((*tokens.shape, vocabulary_size), check_dtype(dtype))
    np.put_along_axis(result, tokens.astype(np.int64)[..., None], 1, axis=-1)
    return result


def embed(table, tokens, lengths=None) -> np.ndarray:
    """Rows of table (V,E) for tokens (...,): (..., E).

    lengths (B,): 0 to T, for tokens (T,B); past a sequence's end they are not looked at, and zeros
    stand there.
    """
    table = check_array("table", table, 2)
    valid = valid_tokens(tokens, lengths)
    rows = table[check_tokens(tokens, len(table), valid)]
    if valid is not None:
        rows[~valid] = 0
    return rows


def embed_backward(table, tokens, dx, lengths=None) -> np.ndarray:
    """Gradient of table (V,E) given that of ``embed``'s result; repeated tokens accumulate.

    Tokens add up in their order, in float64, so the bits depend on nothing else. Without
    ``lengths`` a padded step must hold a valid token and a zero dx, which is what a target's
    ``backward`` returns there; with them neither is looked at.
    """
    table = check_array("table", table, 2)
    valid = valid_tokens(tokens, lengths)
    tokens = check_tokens(tokens, len(table), valid)
    dx = check_array("dx", dx, dtype=table.dtype)
    if dx.shape != (*tokens.shape, table.shape[1]):
        raise InputError(f"dx has shape {dx.shape}; needs {(*tokens.shape, table.shape[1])}")
    if valid is None:
        tokens, dx = tokens.ravel(), dx.reshape(-1, table.shape[1])
    else:
        tokens, dx = tokens[valid], dx[valid]
    # a float32 sum of a token's thousands of rows keeps its precision only in float64
    dtable = np.zeros(table.shape)
    np.add.at(dtable, tokens, dx)
    return dtable.astype(table.dtype, copy=False)
