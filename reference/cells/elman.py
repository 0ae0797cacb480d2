"""Simple recurrent networks: Elman, "Finding structure in time", Cognitive Science 1990, fig. 2."""

from ..functions import relu, relu_slope, tanh
from .affine import affine, affine_backward, affine_shapes


class ElmanTanh:
    """Elman 1990, with tanh in place of the logistic function. One gate slot: a.

    a  = W x + R h + b
    h' = tanh(a)
    """

    states = ("h",)

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(1, input_size, hidden_size)

    @staticmethod
    def step(params, x, state):
        h_new = tanh(affine(params, x, state["h"]))
        return {"h": h_new}, (x, state["h"], h_new)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, h_new = cache
        da = dstate["h"] * (1 - h_new * h_new)
        dparams, dx, dh = affine_backward(params, x, h, da)
        return dparams, dx, {"h": dh}


class ElmanRelu:
    """Le, Jaitly & Hinton 2015 (arXiv:1504.00941). One gate slot: a.

    a  = W x + R h + b
    h' = relu(a)           relu'(0) = 0
    The paper's identity for R is an initialiser.
    """

    states = ("h",)

    @staticmethod
    def shapes(input_size, hidden_size):
        return affine_shapes(1, input_size, hidden_size)

    @staticmethod
    def step(params, x, state):
        a = affine(params, x, state["h"])
        return {"h": relu(a)}, (x, state["h"], a)

    @staticmethod
    def step_backward(params, cache, dstate):
        x, h, a = cache
        da = dstate["h"] * relu_slope(a)
        dparams, dx, dh = affine_backward(params, x, h, da)
        return dparams, dx, {"h": dh}
