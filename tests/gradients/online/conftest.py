"""What the tests of online algorithms share, as functions that need no import."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.gradients.online import run


def run_case(algorithm, case, target=None, **changes):
    """``run`` over a whole case, on the plain target."""
    given = {
        "x": case.x,
        "upstream": case.dy,
        "state": case.state,
        "lengths": case.lengths,
        "dstate": case.dstate,
        "inputs": case.inputs,
    } | changes
    return run(algorithm, target or get_target("plain"), case.cell, case.params, **given)


def bptt(case, target=None, **changes):
    """Full backpropagation of the same."""
    given = {"x": case.x, "dy": case.dy, "lengths": case.lengths, "dstate": case.dstate} | changes
    target = target or get_target("plain")
    forward = target.forward(
        case.cell, case.params, given["x"], case.state, given["lengths"], given.get("inputs")
        or case.inputs,
    )  # fmt: skip
    return target.backward(forward.tape, given["dy"], given["dstate"])


def assert_same(got, want, rtol=1e-12):
    """Each array to rtol of its own largest number: sums in another order, float64."""
    assert got.keys() == want.keys()
    for name in want:
        assert np.shape(got[name]) == np.shape(want[name]), name
        atol = rtol * max(np.abs(want[name]).max(initial=0), 1e-3)
        np.testing.assert_allclose(got[name], want[name], rtol=rtol, atol=atol, err_msg=name)


def differs(got, want, rtol=1e-3):
    """Is any array off by more than rtol of its largest number?"""
    return any(np.abs(got[k] - v).max() > rtol * np.abs(v).max() for k, v in want.items())


def every_sign(count: int):
    """For each of the 2^count choices of signs: a function of a shape that deals them out."""
    for signs in product([-1.0, 1.0], repeat=count):
        left = list(signs)

        def deal(shape, left=left):
            return np.reshape([left.pop(0) for _ in range(int(np.prod(shape)))], shape)

        yield deal, left


@pytest.fixture(name="online")
def _online():
    return SimpleNamespace(
        run=run_case, bptt=bptt, assert_same=assert_same, differs=differs, every_sign=every_sign
    )
