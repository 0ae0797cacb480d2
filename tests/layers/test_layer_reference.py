"""Layers of every topology against the reference, and that mistakes in them would show."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rnnbench import cell_names, get_target
from rnnbench.layers import bidirectional, stack
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import random_layer_case, result_arrays, run_layer_case
from rnnbench.layers.describe import to_data
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench_reference import layers as reference

HERE = runpy.run_path(str(Path(__file__).with_name("topologies.py")))
T, B, I, LENGTHS, LAYERS, ALL = (HERE[n] for n in ("T", "B", "I", "LENGTHS", "LAYERS", "ALL"))
EVERY_LENGTH = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)


def case_of(layer, lengths=None, dtype=np.float64, seed=0):
    return random_layer_case(layer, T, B, I, dtype, seed, lengths)


def reference_results(case):
    """In float64, whatever the case is in."""
    groups = {
        name: {key: v.astype(np.float64) for key, v in getattr(case, name).items()}
        for name in ("params", "state", "inputs", "dstate")
    }
    wide = replace(case, x=case.x.astype(float), dy=case.dy.astype(float), **groups)
    run = reference.forward(to_data(case.layer), *wide.forward_arguments())
    return result_arrays(run, reference.backward(run.tape, wide.dy, wide.dstate))


def worst_error(got, want):
    """The largest difference relative to the largest number of its array, and where it is."""
    assert got.keys() == want.keys()
    errors = {}
    for name in want:
        assert got[name].shape == want[name].shape, name
        scale = max(np.abs(want[name]).max(initial=0), 1e-3)
        error = float(np.abs(got[name] - want[name]).max(initial=0) / scale)
        errors[name] = np.inf if np.isnan(error) else error
    name = max(errors, key=errors.get)
    return errors[name], name


# Sums of at most a few hundred terms, each rounded at 1.1e-16 or 6e-8, through at most 3·T steps
# whose slopes are of order one.
TOLERANCE = {"float64": 1e-14, "float32": 5e-6}


def assert_same(case, target, want=None):
    got = run_layer_case(case, target)
    for array in got.values():
        assert array.dtype == case.x.dtype
    error, where = worst_error(got, reference_results(case) if want is None else want)
    assert error <= TOLERANCE[case.x.dtype.name], where


@pytest.mark.parametrize("layer", ALL.values(), ids=ALL)
@EVERY_LENGTH
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_against_the_reference(layer, lengths, dtype):
    assert_same(case_of(layer, lengths, dtype), get_target("plain"))


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@EVERY_LENGTH
def test_kernels_against_the_reference(layer, lengths):
    assert_same(case_of(layer, lengths, "float32"), get_target("cpu"))


@pytest.mark.parametrize("cell", cell_names())
def test_every_cell(cell):
    """In a residual stack, of which one layer goes both ways, on the reference's own kernels too:
    there only the layers' own arithmetic is another."""
    inner = Recurrent(cell, I)
    layer = Stack([inner, Bidirectional(inner, Recurrent(cell, I), "mean")], (True, True), "step")
    case = case_of(layer, LENGTHS["ragged"])
    want = reference_results(case)
    for name in ("plain", "reference"):
        assert_same(case, get_target(name), want)


# -- tests of these tests --------------------------------------------------------------------------


def whole_reversal(monkeypatch):
    monkeypatch.setattr(bidirectional, "reversal", lambda T, lengths: None)


def swapped_product(monkeypatch):
    right = bidirectional.parted
    monkeypatch.setattr(
        bidirectional,
        "parted",
        lambda merge, *rest: right(merge, *rest)[:: -1 if merge == "product" else 1],
    )


def mean_as_sum_backward(monkeypatch):
    right = bidirectional.parted
    monkeypatch.setattr(
        bidirectional,
        "parted",
        lambda merge, *rest: right("sum" if merge == "mean" else merge, *rest),
    )


def dx_not_turned(monkeypatch):
    right = bidirectional.Bidirectional.run_backward

    def wrong(self, inner, dy, dstate):
        tape = [*inner]
        found = right(self, inner, dy, dstate)
        turned_twice = bidirectional.reversed_in_time(found.x, tape[2])
        return found._replace(x=np.ascontiguousarray(turned_twice))

    monkeypatch.setattr(bidirectional.Bidirectional, "run_backward", wrong)


def no_residual_backward(monkeypatch):
    right = stack.Stack.run_backward

    def wrong(self, inner, dy, dstate):
        plain_stack = Stack(self.layers, False)
        return right(plain_stack, inner, dy, dstate)

    monkeypatch.setattr(stack.Stack, "run_backward", wrong)


def masks_forward_only(monkeypatch):
    right = stack.Stack.run_backward
    monkeypatch.setattr(
        stack.Stack, "run_backward", lambda self, inner, *rest: right(self, (inner[0], {}), *rest)
    )


def masks_one_layer_late(monkeypatch):
    right = stack.apart

    def wrong(arrays, names):
        found = right(arrays, names)
        if "mask" in names:
            found[-1] = {str(int(l) + 1): mask for l, mask in found[-1].items()}
        return found

    monkeypatch.setattr(stack, "apart", wrong)


@pytest.mark.parametrize(
    "mistake, name",
    [
        (whole_reversal, "both ways"),
        (swapped_product, "product"),
        (mean_as_sum_backward, "mean"),
        (dx_not_turned, "sum"),
        (no_residual_backward, "residual, masks by step"),
        (masks_forward_only, "residual, masks by step"),
        (masks_one_layer_late, "residual, masks by step"),
    ],
)
def test_planted_mistakes_are_caught(mistake, name, monkeypatch):
    case, target = case_of(LAYERS[name], LENGTHS["ragged"]), get_target("plain")
    want = reference_results(case)
    assert worst_error(run_layer_case(case, target), want)[0] <= TOLERANCE["float64"]
    mistake(monkeypatch)
    assert worst_error(run_layer_case(case, target), want)[0] > 1e-3
