"""Attention of one query over the steps of one source sequence, and its gradient.

    e_i     = score(q, h_i)                          q (Q,), h_i (K,)
    alpha_i = exp(e_i) / sum_j exp(e_j)
    c       = sum_i alpha_i h_i

score       e_i                      parameters
"additive"  v . tanh(W q + U h_i)    W (A,Q), U (A,K), v (A,)    Bahdanau et al., arXiv:1409.0473
"dot"       q . h_i                                              Luong et al., arXiv:1508.04025
"general"   q . (W h_i)              W (Q,K)                     the same

A source is given without its masked steps: what is not looked at is not there.
"""

from collections.abc import Mapping

import numpy as np

from .functions import exp, shift_to_max, tanh, zeros_like_type

SCORES = ("additive", "dot", "general")


def score(kind: str, params: Mapping, q: np.ndarray, h: np.ndarray):
    if kind == "additive":
        return params["v"] @ tanh(params["W"] @ q + params["U"] @ h)
    return q @ (params["W"] @ h) if kind == "general" else q @ h


def score_backward(kind: str, params: Mapping, q, h, de) -> tuple[dict, np.ndarray, np.ndarray]:
    """(dparams, dq, dh) from the gradient de at the score."""
    if kind == "dot":
        return {}, de * h, de * q
    W = params["W"]
    if kind == "general":
        return {"W": de * np.outer(q, h)}, de * (W @ h), de * (W.T @ q)
    z = tanh(W @ q + params["U"] @ h)
    da = de * params["v"] * (1 - z * z)
    dparams = {"W": np.outer(da, q), "U": np.outer(da, h), "v": de * z}
    return dparams, W.T @ da, params["U"].T @ da


def attend(kind: str, params: Mapping, q: np.ndarray, source: np.ndarray):
    """(context (K,), weights (n,)) of q over source (n,K), n at least 1."""
    energies = zeros_like_type((len(source),), source)
    for i, h in enumerate(source):
        energies[i] = score(kind, params, q, h)
    powers = exp(shift_to_max(energies))
    weights = powers / powers.sum()
    return weights @ source, weights


def attend_backward(kind: str, params: Mapping, q, source, weights, dcontext):
    """(dparams, dq, dsource) from the gradient dcontext (K,) at the context."""
    dparams = {name: zeros_like_type(p.shape, p) for name, p in params.items()}
    dq, dsource = zeros_like_type(q.shape, q), zeros_like_type(source.shape, source)
    dweights = source @ dcontext
    energies = weights * (dweights - weights @ dweights)
    for i, h in enumerate(source):
        more, dq_i, dh = score_backward(kind, params, q, h, energies[i])
        dsource[i] = weights[i] * dcontext + dh
        dq = dq + dq_i
        for name, gradient in more.items():
            dparams[name] = dparams[name] + gradient
    return dparams, dq, dsource
