"""Where a cell starts from: how it is asked for, what keeps a state, the textbook's picture."""

import math

import numpy as np
import pytest

from rnnbench import cell_names, get_cell, get_target, init_params
from rnnbench.diagnostics.flow import follow, gradient_flow
from rnnbench.diagnostics.start import (
    Start,
    bias_rows,
    check_remember,
    completed,
    keeping_gates,
    random_inputs,
    random_sequences,
    read_start,
    start_params,
    text_sequence,
    with_bias,
)
from rnnbench.errors import InputError

PLAIN = get_target("plain")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("lstm", Start("lstm")),
        ("lstm:gain=2", Start("lstm", 2.0)),
        ("lstm:remember=50,gain=0.5", Start("lstm", 0.5, 50)),
        ("clockwork[periods=1:2]", Start("clockwork[periods=1:2]")),
        ("clockwork[periods=1:2]:gain=3", Start("clockwork[periods=1:2]", 3.0)),
        ("gru:remember=0", Start("gru", None, 0)),
    ],
)
def test_reading(text, want):
    assert read_start(text) == want
    assert read_start(want.label) == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lsmt:gain=2", "unknown cell 'lsmt'"),
        ("lstm:grain=2", r"unknown start of lstm 'grain'; allowed: gain=…, remember=…"),
        ("lstm:", "unknown start of lstm ''"),
        ("lstm:gain", "key=value, each once"),
        ("lstm:gain=1,gain=2", "each once"),
        ("lstm:gain=big", "gain of lstm is 'big'; needs a number"),
        ("lstm:remember=2.5", "remember of lstm is '2.5'; needs a whole number"),
        ("lstm:remember=1", "remember is 1; needs at least 2 steps, or 0"),
        ("lstm:remember=-3", "remember is -3"),
        ("lstm[clip=0]:gain=2", "option clip of lstm"),
    ],
)
def test_bad_starts(text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_start(text)
    assert "\n" not in str(caught.value)


KEEPING = {
    "lstm": {"f": 1},
    "lstm[biases=2]": {"f": 1},
    "lstm[coupled=true]": {"i": -1},
    "lstm_peephole": {"f": 1},
    "gru": {"z": 1},
    "gru[biases=2]": {"z": 1},
    "gru_simplified": {"z": 1},
    "janet": {"f": 1},
    "mgu": {"f": -1},  # f takes the new value
    "elman_tanh": {},
    "antisymmetric_rnn": {},  # its bias saturates on both sides
    "lstm_1997": {},  # c is kept whole, by no gate
    "gru[biases=0]": {},
}


@pytest.mark.parametrize("cell", KEEPING)
def test_gates_that_keep_a_state(cell):
    assert keeping_gates(cell) == KEEPING[cell]


@pytest.mark.parametrize("cell", cell_names())
def test_a_keeping_gate_makes_gradients_last(cell):
    """With the bias far on its side the gradient at the state that is kept does not fall."""
    gates = keeping_gates(cell)
    spec = get_cell(cell).spec
    assert set(gates) <= set(spec.gates)
    if spec.forget_gate in gates:
        assert gates[spec.forget_gate] == 1
    for gate, sign in gates.items():
        params, _ = start_params(Start(cell), 4, 4, seed=1)
        params = with_bias(get_cell(cell), params, gate, sign * 40.0)
        inputs = random_inputs(cell, 30, 2, 4, 4, seed=1)
        path = follow(PLAIN, cell, params, random_sequences(30, 2, 4, 1), None, inputs)
        assert np.max([v[-1] for v in gradient_flow(path).by_state.values()]) > -3


def test_one_bias_a_slot():
    """b and b_R are added to the same slot; a highway's layers have one each."""
    assert bias_rows(get_cell("lstm[biases=2]").spec, "f") == ["b"]
    assert bias_rows(get_cell("gru").spec, "n") == ["b", "b_Rn"]
    assert len(bias_rows(get_cell("rhn").spec, "t")) > 1
    assert bias_rows(get_cell("lstm[biases=0]").spec, "f") == []


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_bias_is_that_of_the_gate_alone(cell):
    params, added = start_params(Start(cell, remember=50), 3, 5, seed=2)
    plain = init_params(cell, 3, 5, seed=2)
    (gate,) = keeping_gates(cell)
    assert added == {gate: math.log(49)}
    gates = get_cell(cell).spec.parameter("b").gates
    want = np.repeat([math.log(49) if g == gate else 0.0 for g in gates], 5)
    np.testing.assert_array_equal(params["b"], want)
    for name in plain.keys() - {"b"}:
        np.testing.assert_array_equal(params[name], plain[name])
    # σ(log(N − 1)) = 1 − 1/N
    assert 1 / (1 + math.exp(-math.log(49))) == pytest.approx(1 - 1 / 50, rel=1e-15)


def test_completing():
    starts = [Start("elman_tanh"), Start("lstm"), Start("lstm", 2.0, 0), Start("min_gru")]
    found = completed(starts, None, None, 100)
    assert [s.gain for s in found] == [None, None, 2.0, None]
    assert [s.remember for s in found] == [None, 100, 0, 100]
    found = completed(starts, 0.5, 30, 100)
    assert [s.gain for s in found] == [0.5, 0.5, 2.0, None]  # min_gru has no matrix on h
    assert [s.remember for s in found] == [None, 30, 0, 30]
    assert completed([Start("lstm")], None, None, 1) == [Start("lstm", None, 0)]
    for values, message in (((2.0, None), "--gain 2: no cell"), ((None, 9), "--remember 9: no")):
        with pytest.raises(InputError, match=message):
            completed([Start("qrnn" if values[0] else "elman_tanh", None, None)], *values, 100)


def test_a_start_that_the_cell_can_not_take():
    with pytest.raises(InputError, match="remember is 9, but elman_tanh has no gate that keeps"):
        start_params(Start("elman_tanh", remember=9), 3, 3, 0)
    with pytest.raises(InputError, match="gain is 2"):
        start_params(Start("min_gru", gain=2.0), 3, 3, 0)
    assert check_remember(0) == 0 and check_remember(2) == 2


def test_a_text_gives_the_same_vector_for_the_same_character():
    x = text_sequence("abca", 3, seed=0)
    assert x.shape == (4, 1, 3)
    np.testing.assert_array_equal(x[0], x[3])
    assert len({tuple(row[0]) for row in x}) == 3
    with pytest.raises(InputError, match="text is empty"):
        text_sequence("", 3, seed=0)


@pytest.mark.parametrize("cell", cell_names())
def test_every_cell_has_inputs(cell):
    inputs = random_inputs(cell, 4, 2, 3, 3, seed=0)
    params, _ = start_params(Start(cell), 3, 3, seed=0)
    path = follow(PLAIN, cell, params, random_sequences(4, 2, 3, 0), None, inputs)
    assert not np.isnan(gradient_flow(path).spectral).any()


def last_norm(start, H=32, T=100):
    params, _ = start_params(start, H, H, seed=0)
    path = follow(PLAIN, start.cell, params, random_sequences(T, 2, H, 0))
    return np.median(gradient_flow(path).spectral[-1])


def test_the_textbook():
    """Over 100 steps an Elman network's gradient vanishes, or with larger weights explodes; an
    LSTM's and a GRU's whose gates keep their state does neither. Without that bias it vanishes."""
    assert last_norm(Start("elman_tanh")) < -8
    assert last_norm(Start("elman_tanh", gain=3.0)) > 3
    for cell in ("lstm", "gru"):
        assert -3 < last_norm(Start(cell, remember=100)) < 2
        assert last_norm(Start(cell)) < -8  # and so does a bias on the wrong side:
        (gate,) = keeping_gates(cell)
        params = with_bias(get_cell(cell), init_params(cell, 32, 32), gate, -math.log(99))
        path = follow(PLAIN, cell, params, random_sequences(100, 2, 32, 0))
        assert gradient_flow(path).spectral[-1].max() < -8
