"""Gated recurrent units: Cho et al. 2014 (arXiv:1406.1078).

In all of them z keeps the OLD state (eq. 7):  h' = (1-z) n + z h.  The products of gates are
elementwise. The paper has no biases; equation numbers are those of its version 3.
"""

import numpy as np

from ..functions import sigmoid, tanh
from .affine import affine, affine_backward, affine_shapes


class GruSimplified:
    """No reset gate. Gate order z n.

    z  = sigmoid(W_z x + R_z h + b_z)      eq. 6
    n  = tanh(W_n x + R_n h + b_n)         eq. 8 with r = 1
    h' = (1-z) n + z h                     eq. 7
    Course notes that present a "simplified GRU" let the gate keep the NEW state: theirs is 1 - z.
    """

    states = ("h",)

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(2, input_size, hidden_size)

    @staticmethod
    def step(params, x, state):
        h = state["h"]
        a_z, a_n = np.split(affine(params, x, h), 2, axis=1)
        z, n = sigmoid(a_z), tanh(a_n)
        return {"h": (1 - z) * n + z * h}, (x, h, z, n)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, z, n = cache
        dh_new = dstate["h"]
        da_z = dh_new * (h - n) * z * (1 - z)
        da_n = dh_new * (1 - z) * (1 - n * n)
        dparams, dx, dh = affine_backward(params, x, h, np.concatenate([da_z, da_n], axis=1))
        return dparams, dx, {"h": dh + dh_new * z}


class Gru:
    """Reset AFTER the product: the form of cuDNN, PyTorch and Keras. Gate order r z n.

    r  = sigmoid(W_r x + R_r h + b_r)
    z  = sigmoid(W_z x + R_z h + b_z)
    n  = tanh(W_n x + b_n + r (R_n h + b_Rn))
    h' = (1-z) n + z h
    Version 1 of arXiv:1406.1078, plus the biases; b_Rn (H,) stands inside the reset product.
    """

    states = ("h",)

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(3, input_size, hidden_size) | {"b_Rn": (hidden_size,)}

    @staticmethod
    def step(params, x, state):
        h = state["h"]
        x_r, x_z, x_n = np.split(x @ params["W"].T + params["b"], 3, axis=1)
        h_r, h_z, h_n = np.split(h @ params["R"].T, 3, axis=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        m = h_n + params["b_Rn"]
        n = tanh(x_n + r * m)
        return {"h": (1 - z) * n + z * h}, (x, h, r, z, n, m)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, r, z, n, m = cache
        dh_new = dstate["h"]
        da_n = dh_new * (1 - z) * (1 - n * n)
        da_z = dh_new * (h - n) * z * (1 - z)
        da_r = da_n * m * r * (1 - r)
        dm = da_n * r
        # the candidate's slot differs between the two products: da_n for W x, dm for R h
        d_x = np.concatenate([da_r, da_z, da_n], axis=1)
        d_h = np.concatenate([da_r, da_z, dm], axis=1)
        dparams = {
            "W": d_x.T @ x,
            "R": d_h.T @ h,
            "b": d_x.sum(axis=0),
            "b_Rn": dm.sum(axis=0),
        }
        return dparams, d_x @ params["W"], {"h": d_h @ params["R"] + dh_new * z}


class GruResetBefore:
    """Reset BEFORE the product: version 3 of arXiv:1406.1078, as published. Gate order r z n.

    r  = sigmoid(W_r x + R_r h + b_r)      eq. 5
    z  = sigmoid(W_z x + R_z h + b_z)      eq. 6
    n  = tanh(W_n x + R_n (r h) + b_n)     eq. 8
    h' = (1-z) n + z h                     eq. 7
    """

    states = ("h",)

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(3, input_size, hidden_size)

    @staticmethod
    def step(params, x, state):
        h = state["h"]
        R_r, R_z, R_n = np.split(params["R"], 3, axis=0)
        x_r, x_z, x_n = np.split(x @ params["W"].T + params["b"], 3, axis=1)
        r = sigmoid(x_r + h @ R_r.T)
        z = sigmoid(x_z + h @ R_z.T)
        s = r * h
        n = tanh(x_n + s @ R_n.T)
        return {"h": (1 - z) * n + z * h}, (x, h, r, z, n, s)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, r, z, n, s = cache
        R_r, R_z, R_n = np.split(params["R"], 3, axis=0)
        dh_new = dstate["h"]
        da_n = dh_new * (1 - z) * (1 - n * n)
        da_z = dh_new * (h - n) * z * (1 - z)
        ds = da_n @ R_n
        da_r = ds * h * r * (1 - r)
        da = np.concatenate([da_r, da_z, da_n], axis=1)
        dparams = {
            "W": da.T @ x,
            "R": np.concatenate([da_r.T @ h, da_z.T @ h, da_n.T @ s], axis=0),
            "b": da.sum(axis=0),
        }
        dh = dh_new * z + ds * r + da_r @ R_r + da_z @ R_z
        return dparams, da @ params["W"], {"h": dh}
