"""Gates over a text: what a step kept, by name, against the equation that it stands in."""

import numpy as np
import pytest

from rnnbench import cell_names, get_cell
from rnnbench.conformance.variants import variant_names
from rnnbench.diagnostics.heatmap import (
    check_signals,
    gate_names,
    saturation,
    signal_names,
    signals,
)
from rnnbench.errors import InputError
from rnnbench.params import random_case


def all_signals(cell, T=5, seed=3):
    case = random_case(cell, T=T, B=2, I=3, H=4, seed=seed, ragged=False)
    names = signal_names(cell)
    return case, signals(cell, case.params, case.x, names, case.state, case.inputs)


def before(case, found, name):
    """A state before each step."""
    return np.concatenate([case.state[name][None], found[f"{name}'"][:-1]])


def test_an_lstms_gates_make_its_states():
    """c' = f c + i g and h' = o tanh(c'): the names stand for what the equations say."""
    case, found = all_signals("lstm")
    c = found["f"] * before(case, found, "c") + found["i"] * found["g"]
    np.testing.assert_allclose(found["c'"], c, rtol=1e-14)
    np.testing.assert_allclose(found["h'"], found["o"] * np.tanh(c), rtol=1e-14)
    assert gate_names("lstm") == ["i", "f", "g", "o"]


def test_a_grus_gates_make_its_state():
    case, found = all_signals("gru")
    z, n = found["z"], found["n"]
    np.testing.assert_allclose(found["h'"], (1 - z) * n + z * before(case, found, "h"), rtol=1e-14)
    assert gate_names("gru") == ["r", "z", "n"]


@pytest.mark.parametrize("cell", [*cell_names(), *variant_names()])
def test_every_cell_has_something_to_show(cell):
    case, found = all_signals(cell, T=3)
    sizes = {n: v.shape[-1] for n, v in case.state.items()} | {"H": 4}
    assert list(found) == signal_names(cell)
    for values in found.values():
        assert values.shape[:2] == (3, 2) and values.shape[2] in sizes.values()
        assert np.isfinite(values).all() and values.dtype == np.float64
    assert gate_names(cell) and set(gate_names(cell)) <= set(found)
    assert len(set(found)) == len(found)


def test_names():
    assert check_signals("lstm", ["o", "f", "o"]) == ["o", "f"]
    assert check_signals("lstm", []) == gate_names("lstm")
    assert gate_names("elman_tanh")  # it has no gate that is saved by its name
    with pytest.raises(InputError, match="unknown gate of lstm 'z'; allowed: i, f, g, o, y, h',"):
        check_signals("lstm", ["f", "z"])


def test_states_may_be_asked_for():
    case, found = all_signals("lstm")
    only = signals("lstm", case.params, case.x, ["c'"], case.state)
    assert list(only) == ["c'"]
    np.testing.assert_array_equal(only["c'"], found["c'"])


def test_saturation():
    values = np.array([[0.0, 0.05, 0.1, 0.5], [0.9, 0.95, 1.0, 0.5]])
    told = saturation(values)
    assert told == {"mean": 0.5, "least": 0.0, "most": 1.0, "low": 0.25, "high": 0.25}
    told = saturation(values - 0.5)
    assert told["low"] is None and told["high"] is None and told["least"] == -0.5


def test_padding_widths():
    """A projected state is narrower than the gates."""
    cell = "lstm[projection=true]"
    _, found = all_signals(cell)
    assert found["h'"].shape[-1] == 2 and found["i"].shape[-1] == 4
    assert get_cell(cell).spec.state("h").width == "P"


@pytest.mark.parametrize("names", ["fi", None, 3])
def test_names_are_a_list(names):
    """A string is not taken letter by letter."""
    with pytest.raises(InputError, match=r"names are .*; need a list of names"):
        check_signals("lstm", names)
