"""Long short-term memory with a forget gate, with and without peepholes.

Gers, Schmidhuber & Cummins, "Learning to forget", Neural Computation 2000 (the forget gate);
Gers, Schraudolph & Schmidhuber, JMLR 2002 (the peepholes). Written as in Graves 2013
(arXiv:1308.0850), eqs. 7-11, with tanh as both squashing functions, and
a_k = W_k x + R_k h + b_k. Gate order i f g o; peephole rows p (3,H): p_i, p_f, p_o. Products of
gates are elementwise.
"""

import numpy as np

from ..functions import sigmoid, tanh
from .affine import affine, affine_backward, affine_shapes


class Lstm:
    """Gers et al. 2000; Graves 2013 eqs. 7-11 without the c terms inside the gates.

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
    g  = tanh(a_g)
    c' = f c + i g
    h' = o tanh(c')
    """

    states = ("h", "c")

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(4, input_size, hidden_size)

    @staticmethod
    def step(params, x, state):
        h, c = state["h"], state["c"]
        a_i, a_f, a_g, a_o = np.split(affine(params, x, h), 4, axis=1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), tanh(a_g), sigmoid(a_o)
        c_new = f * c + i * g
        u = tanh(c_new)
        return {"h": o * u, "c": c_new}, (x, h, c, i, f, g, o, u)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, c, i, f, g, o, u = cache
        dh_new = dstate["h"]
        dc_new = dstate["c"] + dh_new * o * (1 - u * u)
        da_i = dc_new * g * i * (1 - i)
        da_f = dc_new * c * f * (1 - f)
        da_g = dc_new * i * (1 - g * g)
        da_o = dh_new * u * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        dparams, dx, dh = affine_backward(params, x, h, da)
        return dparams, dx, {"h": dh, "c": dc_new * f}


class LstmPeephole:
    """Gers et al. 2002; the baseline of Greff et al. 2015 (arXiv:1503.04069).

    i  = sigmoid(a_i + p_i c)      Graves eq. 7
    f  = sigmoid(a_f + p_f c)      eq. 8
    g  = tanh(a_g)
    c' = f c + i g                 eq. 9
    o  = sigmoid(a_o + p_o c')     eq. 10: o sees the NEW cell state
    h' = o tanh(c')                eq. 11
    """

    states = ("h", "c")

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(4, input_size, hidden_size) | {"p": (3, hidden_size)}

    @staticmethod
    def step(params, x, state):
        h, c = state["h"], state["c"]
        p_i, p_f, p_o = params["p"]
        a_i, a_f, a_g, a_o = np.split(affine(params, x, h), 4, axis=1)
        i, f, g = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c), tanh(a_g)
        c_new = f * c + i * g
        o = sigmoid(a_o + p_o * c_new)
        u = tanh(c_new)
        return {"h": o * u, "c": c_new}, (x, h, c, i, f, g, o, u, c_new)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, c, i, f, g, o, u, c_new = cache
        p_i, p_f, p_o = params["p"]
        dh_new = dstate["h"]
        da_o = dh_new * u * o * (1 - o)
        # c' is reached by h' directly, through o's peephole, and by the next step
        dc_new = dstate["c"] + dh_new * o * (1 - u * u) + da_o * p_o
        da_i = dc_new * g * i * (1 - i)
        da_f = dc_new * c * f * (1 - f)
        da_g = dc_new * i * (1 - g * g)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        dparams, dx, dh = affine_backward(params, x, h, da)
        dparams["p"] = np.stack([(da_i * c).sum(0), (da_f * c).sum(0), (da_o * c_new).sum(0)])
        return dparams, dx, {"h": dh, "c": dc_new * f + da_i * p_i + da_f * p_f}


class LstmPeepholePrevious:
    """All three gates see the OLD cell state: course notes' form, c<t-1> an input of every gate.

    i, f, o = sigmoid(a_i + p_i c), sigmoid(a_f + p_f c), sigmoid(a_o + p_o c)
    g  = tanh(a_g)
    c' = f c + i g
    h' = o tanh(c')
    Not the form of Gers et al. 2002, where o sees c' (LstmPeephole).
    """

    states = ("h", "c")

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(4, input_size, hidden_size) | {"p": (3, hidden_size)}

    @staticmethod
    def step(params, x, state):
        h, c = state["h"], state["c"]
        p_i, p_f, p_o = params["p"]
        a_i, a_f, a_g, a_o = np.split(affine(params, x, h), 4, axis=1)
        i, f, o = sigmoid(a_i + p_i * c), sigmoid(a_f + p_f * c), sigmoid(a_o + p_o * c)
        g = tanh(a_g)
        c_new = f * c + i * g
        u = tanh(c_new)
        return {"h": o * u, "c": c_new}, (x, h, c, i, f, g, o, u)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, c, i, f, g, o, u = cache
        p_i, p_f, p_o = params["p"]
        dh_new = dstate["h"]
        dc_new = dstate["c"] + dh_new * o * (1 - u * u)
        da_i = dc_new * g * i * (1 - i)
        da_f = dc_new * c * f * (1 - f)
        da_g = dc_new * i * (1 - g * g)
        da_o = dh_new * u * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        dparams, dx, dh = affine_backward(params, x, h, da)
        dparams["p"] = np.stack([(da_i * c).sum(0), (da_f * c).sum(0), (da_o * c).sum(0)])
        return dparams, dx, {"h": dh, "c": dc_new * f + da_i * p_i + da_f * p_f + da_o * p_o}
