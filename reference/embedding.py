"""Rows of a table for tokens: forward and gradient, one token at a time.

    x_tb = table[token_tb]                  dtable[v] = sum of dx_tb over the t, b with token_tb = v

Past a sequence's end there is no token: x is zero there, and dx is not looked at.
"""

import numpy as np

from .functions import zeros_like_type


def embed(table: np.ndarray, tokens: np.ndarray, lengths=None) -> np.ndarray:
    """Rows of table (V,E) for tokens (T,B): (T,B,E). lengths (B,); None: all T."""
    x = zeros_like_type((*tokens.shape, table.shape[1]), table)
    for t, b in _steps(tokens.shape, lengths):
        x[t, b] = table[tokens[t, b]]
    return x


def embed_backward(table: np.ndarray, tokens: np.ndarray, dx: np.ndarray, lengths=None):
    """Gradient of table (V,E) from dx (T,B,E)."""
    dtable = zeros_like_type(table.shape, table)
    for t, b in _steps(tokens.shape, lengths):
        dtable[tokens[t, b]] = dtable[tokens[t, b]] + dx[t, b]
    return dtable


def _steps(shape, lengths) -> list[tuple[int, int]]:
    T, B = shape
    ends = [T] * B if lengths is None else lengths
    return [(t, b) for t in range(T) for b in range(B) if t < ends[b]]
