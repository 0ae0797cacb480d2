"""`rnnbench validate` on a user's own functions: the right one, and each planted mistake."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rnnbench import cell_names
from rnnbench.cli import main
from rnnbench.conformance.adapters import load_adapter
from rnnbench.conformance.validate import AGREES, DEPARTS, validate

HERE = Path(__file__).parent
COMMITTED = HERE.parents[1] / "results" / "golden"
PEEPHOLES = ["lstm_peephole", "lstm_peephole_previous"]
LSTMS = ["lstm", *PEEPHOLES]
CARRIES_C = LSTMS
GATED = ["gru", "gru_reset_before", "gru_simplified", *LSTMS]
EVERY = ["elman_tanh", "elman_relu", *GATED]

# function of users.py, cells, what the diagnosis names ("" where it cannot), gates at fault
MISTAKES = [
    ("reads_iofg", LSTMS, "read in the order i o f g, not i f g o", ["f", "g", "o"]),
    ("reads_zrn", ["gru", "gru_reset_before"], "in the order z r n, not r z n", ["r", "z"]),
    ("reads_nz", ["gru_simplified"], "read in the order n z, not z n", []),
    ("transposes_r", EVERY, "R transposed", None),
    ("drops_b", EVERY, "b dropped", "all"),
    ("drops_forget_bias", LSTMS, "", ["f"]),
    ("drops_b_rn", ["gru"], "b_Rn dropped", ["n"]),
    ("merges_b_rn", ["gru"], "b_Rn added to b", ["n"]),
    ("starts_at_zero", EVERY, "initial states taken as zero", []),
    ("forgets_c0", CARRIES_C, "initial c taken as zero", []),
    ("ignores_lengths", EVERY, "lengths ignored", []),
    ("repeats_past_end", EVERY, "y repeats its last output", []),
    ("resets_before", ["gru"], "the maths of gru_reset_before", ["n"]),
    ("resets_after", ["gru_reset_before"], "", None),
    ("peeks_at_old_c", ["lstm_peephole"], "the maths of lstm_peephole_previous", ["o"]),
    ("peepholes_iof", PEEPHOLES, "rows of p read in the order i o f, not i f o", ["f", "o"]),
    ("nan_in_one_place", EVERY, "", []),
    ("in_float32_unsaid", EVERY, "arithmetic in float32", []),
]
GRADIENT_MISTAKES = [
    # function, cells, first array, gates
    ("gradient_off_by_a_thousandth", LSTMS, "dR", ["f"]),
    ("gradient_gates_swapped", LSTMS, "db", ["i", "f"]),
    ("gradient_ignores_final_state", EVERY, "dW", None),
    ("gradient_of_padding", EVERY, "dx", []),
    ("gradient_of_one_state_missing", EVERY, "dh0", []),
]


pytestmark = pytest.mark.usefixtures("users_module")


def outcomes(function, goldens, cells, dtype=None):
    adapter = load_adapter(f"my_networks:{function}", dtype)
    return validate(adapter, [g for g in goldens if g.cell in cells])


def rnnbench(*arguments):
    result = CliRunner().invoke(main, list(arguments), env={"COLUMNS": "80"})
    return result


# right implementations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", ["good", "only_y", "with_gradients", "writes_to_its_inputs"])
def test_a_right_implementation_agrees(goldens, function, dtype):
    found = outcomes(function, goldens, EVERY, dtype)
    assert len(found) == len(goldens) and {o.verdict for o in found} == {AGREES}
    if function == "only_y":
        assert [c.array for c in found[0].comparisons] == ["y"]
        assert "final.h" in found[0].not_returned


def test_a_float32_result_of_float64_inputs_is_judged_as_float32(goldens):
    found = outcomes("in_float32", goldens, EVERY)
    assert {o.verdict for o in found} == {AGREES}


# planted mistakes


def test_every_cell_meets_mistakes():
    assert set(EVERY) == set(cell_names())


@pytest.mark.parametrize("function, cells, named, gates", MISTAKES, ids=lambda v: str(v)[:30])
def test_a_mistake_is_caught_and_named(goldens, function, cells, named, gates):
    found = outcomes(function, goldens, cells)
    for cell in cells:
        departed = [o for o in found if o.cell == cell and o.verdict == DEPARTS]
        assert departed, f"{function} is not caught on {cell}"
        for o in departed:
            d = o.diagnosis
            assert d.first.row is not None and d.first.step is not None
            if named:
                assert any(named in text for text in d.mistakes), (cell, o.case, d)
            if gates == "all":
                assert d.gates == gates_of(cell)
            elif gates is not None:
                assert d.gates == gates, (cell, o.case, d)


def gates_of(cell):
    from rnnbench import get_cell

    return list(get_cell(cell).spec.gates)


@pytest.mark.parametrize(
    "function, cells, array, gates", GRADIENT_MISTAKES, ids=lambda v: str(v)[:30]
)
def test_a_wrong_gradient_is_caught(goldens, function, cells, array, gates):
    found = outcomes(function, goldens, cells)
    for cell in cells:
        departed = [o for o in found if o.cell == cell and o.verdict == DEPARTS]
        assert departed, f"{function} is not caught on {cell}"
        for o in departed:
            assert o.diagnosis.first.array == array
            if gates is not None:
                assert o.diagnosis.gates == gates


@pytest.mark.parametrize("function", ["reads_iofg", "drops_b", "transposes_r", "ignores_lengths"])
def test_float32_is_enough_to_catch_a_mistake(goldens, function):
    found = outcomes(function, goldens, ["lstm"], "float32")
    departed = [o for o in found if o.verdict == DEPARTS]
    assert departed and all(o.diagnosis.mistakes for o in departed)


def test_the_first_departure_is_the_first(goldens):
    (ragged,) = [o for o in outcomes("ignores_lengths", goldens, ["lstm"]) if o.case == "ragged"]
    first = ragged.diagnosis.first  # lengths 3 6 1 5: row 2 has ended at t=1
    assert (first.array, first.step, first.row) == ("y", 1, 2)
    (nan, *_) = outcomes("nan_in_one_place", goldens, ["gru"])
    assert (nan.diagnosis.first.step, nan.diagnosis.first.row) == (2, 2)
    assert nan.diagnosis.first.index == (2, 2, 1) and np.isnan(nan.worst.error)
    (zero, *_) = outcomes("starts_at_zero", goldens, ["gru"])
    assert (zero.diagnosis.first.array, zero.diagnosis.first.step) == ("states.h", -1)
    # the gradient of x is computed from the end: its first departure is the latest step
    padded = [o for o in outcomes("gradient_of_padding", goldens, ["gru"]) if o.case == "ragged"]
    assert (padded[0].diagnosis.first.step, padded[0].diagnosis.first.row) == (5, 0)


# the command
