"""Tokens as input vectors: one-hot, or rows of a trained table."""

import numpy as np

from rnnbench.checks import as_array, check_array, check_count, check_dtype
from rnnbench.errors import InputError


def check_tokens(tokens, vocabulary_size: int) -> np.ndarray:
    """Integers in 0 … vocabulary_size-1, of any shape; InputError else."""
    tokens = as_array("tokens", tokens)
    if tokens.dtype.kind not in "iu":
        raise InputError(f"tokens have dtype {tokens.dtype}; need integers")
    bad = tokens[(tokens < 0) | (tokens >= vocabulary_size)]
    if bad.size:
        raise InputError(f"a token is {bad[0]}; allowed: 0 to {vocabulary_size - 1}")
    return tokens


def one_hot(tokens, vocabulary_size: int, dtype=np.float32) -> np.ndarray:
    """(...,) integers -> (..., vocabulary_size), 1 at the token's place and 0 elsewhere."""
    check_count("vocabulary_size", vocabulary_size)
    tokens = check_tokens(tokens, vocabulary_size)
    result = np.zeros((*tokens.shape, vocabulary_size), check_dtype(dtype))
    np.put_along_axis(result, tokens.astype(np.int64)[..., None], 1, axis=-1)
    return result


def embed(table, tokens) -> np.ndarray:
    """Rows of table (V,E) for tokens (...,): (..., E)."""
    table = check_array("table", table, 2)
    return table[check_tokens(tokens, len(table))]


def embed_backward(table, tokens, dx) -> np.ndarray:
    """Gradient of table (V,E) given that of ``embed``'s result; repeated tokens accumulate.

    Tokens add up in their order, so the bits depend on nothing else. A padded step must hold a
    valid token and a zero dx, which is what a target's ``backward`` returns there.
    """
    table = check_array("table", table, 2)
    tokens = check_tokens(tokens, len(table))
    dx = check_array("dx", dx, dtype=table.dtype)
    if dx.shape != (*tokens.shape, table.shape[1]):
        raise InputError(f"dx has shape {dx.shape}; needs {(*tokens.shape, table.shape[1])}")
    dtable = np.zeros_like(table)
    np.add.at(dtable, tokens.ravel(), dx.reshape(-1, table.shape[1]))
    return dtable
