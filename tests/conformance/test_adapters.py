"""The adapters of other frameworks on the committed set, and the conversions they share."""

from pathlib import Path

import numpy as np
import pytest

from rnnbench import get_cell
from rnnbench.conformance import golden
from rnnbench.conformance.adapters import adapter_names, load_adapter
from rnnbench.conformance.layout import reorder, two_biases
from rnnbench.conformance.validate import AGREES, NOT_OFFERED, validate
from rnnbench.errors import InputError, MissingDependency

COMMITTED = Path(__file__).parents[2] / "results" / "golden"


@pytest.fixture(scope="module")
def goldens():
    return golden.read_set(COMMITTED)


def compared(outcomes):
    """(cell, case) -> names of the arrays compared; all of them agree."""
    assert {o.verdict for o in outcomes} == {AGREES, NOT_OFFERED}
    return {
        (o.cell, o.case): [c.array for c in o.comparisons] for o in outcomes if o.verdict == AGREES
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_agrees(goldens, dtype):
    pytest.importorskip("torch")
    found = compared(validate(load_adapter("torch", dtype), goldens))
    assert {cell for cell, _ in found} == {"elman_tanh", "elman_relu", "gru", "lstm"}
    assert {case for _, case in found} == {"full", "ragged"}  # length 0 is refused
    gradients = {"dW", "dR", "db", "dx", "dh0"}
    assert all(gradients < set(arrays) for arrays in found.values())
    assert {"final.h", "final.c", "dc0"} < set(found["lstm", "ragged"])
    assert "db_Rn" in found["gru", "ragged"]


def test_onnxruntime_agrees(goldens):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    found = compared(validate(load_adapter("onnxruntime"), goldens))
    cells = {"elman_tanh", "elman_relu", "gru", "gru_reset_before", "lstm", "lstm_peephole"}
    assert {cell for cell, _ in found} == cells
    assert found["lstm_peephole", "ragged"] == ["y", "final.h", "final.c"]
    with pytest.raises(InputError, match="dtype of onnxruntime 'float64'; allowed: float32"):
        load_adapter("onnxruntime", "float64")


def test_onnxruntime_gives_zero_for_the_final_state_of_length_0(goldens):
    """Why its adapter refuses length 0; once this fails, it may offer it."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from rnnbench.conformance.adapters.onnxruntime import build

    (case,) = [g.inputs for g in goldens if g.name == "elman_tanh-empty_row"]
    feeds = {
        "X": case.x,
        "W": case.params["W"][None],
        "R": case.params["R"][None],
        "initial_h": case.state["h"][None],
    }
    feeds = {name: a.astype(np.float32) for name, a in feeds.items()}
    feeds["sequence_lens"] = case.lengths.astype(np.int32)
    H = case.dy.shape[2]
    model = build("RNN", {"activations": ["Tanh"], "hidden_size": H}, feeds, ["Y", "Y_h"])
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    _, final = session.run(None, feeds)
    empty = int(np.flatnonzero(case.lengths == 0)[0])
    assert (final[0, empty] == 0).all() and case.state["h"][empty].all()


@pytest.mark.parametrize("cell, message", [("lstm_peephole", "torch.nn has no such cell")])
def test_torch_offers_no_peephole(goldens, cell, message):
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=message):
        validate(load_adapter("torch"), [g for g in goldens if g.cell == cell])


def test_a_framework_that_is_not_installed(monkeypatch):
    """None in sys.modules makes an import fail as if the package were absent."""
    import sys

    assert adapter_names() == ["onnxruntime", "torch"]
    for name in adapter_names():
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingDependency, match=rf"pip install 'rnnbench\[{name}\]'"):
            load_adapter(name)


def test_reorder_is_by_name():
    rows = np.arange(8.0).reshape(8, 1)  # i i f f g g o o
    there = reorder(rows, "ifgo", "iofg")
    assert there[:, 0].tolist() == [0, 1, 6, 7, 2, 3, 4, 5]
    assert (reorder(there, "iofg", "ifgo") == rows).all()


def test_two_biases_differ_and_add_up():
    for dtype in (np.float32, np.float64):
        params = {"b": np.arange(1, 7, dtype=dtype), "b_Rn": np.array([8, 9], dtype)}
        inputs, recurrent = two_biases(get_cell("gru").spec, params)
        assert inputs.dtype == recurrent.dtype == dtype
        assert ((inputs + recurrent)[:4] == params["b"][:4]).all()
        assert (inputs[4:] == params["b"][4:]).all() and (recurrent[4:] == params["b_Rn"]).all()
        assert (inputs != recurrent).all() and recurrent.all()
