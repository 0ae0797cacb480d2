"""``rnnbench gradflow``: its tables, its JSON, its pictures, what it refuses."""

import json
import math
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from rnnbench import get_cell, init_params
from rnnbench.commands.gradflow import command
from rnnbench.diagnostics.plots import draw_curves, draw_gates, visible
from rnnbench.diagnostics.tables import decimal, spread
from rnnbench.errors import InputError, MissingDependency
from rnnbench.tasks import charlm
from rnnbench.tasks.charlm import Training
from rnnbench.tasks.model import initial_model
from rnnbench.tasks.text import Vocabulary

SMALL = ("--steps", "12", "--hidden", "4", "--batch", "2")


def invoke(*arguments):
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.output.splitlines())) <= 80
    return result.output


def refuses(message, *arguments):
    with pytest.raises(InputError, match=message) as caught:
        CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert "\n" not in str(caught.value)
    return caught.value


def saved(tmp_path, *arguments):
    path = tmp_path / "found.json"
    output = invoke(*arguments, "--json", path)
    return output, json.loads(path.read_text())


def test_flow_side_by_side(tmp_path):
    cells = ("--cell", "elman_tanh", "--cell", "elman_tanh:gain=3", "--cell", "lstm")
    output, found = saved(tmp_path, *cells, *SMALL)
    assert [row["label"] for row in found["rows"]] == [
        "elman_tanh", "elman_tanh:gain=3", "lstm:remember=12",
    ]  # fmt: skip
    assert found["what"] == "flow" and found["axis"] == "T-t"
    assert found["settings"]["steps"] == 12 and found["settings"]["norm"] == "spectral"
    for row in found["rows"]:
        assert row["label"] in output
        assert np.shape(row["log10"]) == (13, 2) and row["log10"][0] == [0.0, 0.0]
        middle = np.mean(row["log10"][-1])
        assert decimal(middle) in output and decimal(middle / 12) in output
    assert found["rows"][2]["biases"] == {"f": math.log(11)}
    assert list(found["rows"][2]["by_state"]) == ["h", "c"]
    assert found["rows"][2]["by_state"]["c"][0] == ["-inf", "-inf"]


def test_the_same_call_gives_the_same_numbers(tmp_path):
    call = ("--cell", "gru", *SMALL)
    assert saved(tmp_path, *call) == saved(tmp_path, *call)
    assert saved(tmp_path, *call)[1] != saved(tmp_path, *call, "--seed", "1")[1]


def test_radius(tmp_path):
    output, found = saved(tmp_path, "--what", "radius", "--cell", "esn", *SMALL)
    (row,) = found["rows"]
    assert np.shape(row["log10"]) == (12, 2) and found["axis"] == "t"
    assert "spectral radius" in output and decimal(np.max(row["log10"])) in output


@pytest.mark.parametrize("loss", ["last", "every"])
def test_gradients(loss, tmp_path):
    _, found = saved(tmp_path, "--what", "gradients", "--loss", loss, "--cell", "lstm", *SMALL)
    (row,) = found["rows"]
    np.testing.assert_allclose(row["log10"][0], 0, atol=1e-15)  # u has length 1
    assert np.shape(row["log10"]) == (13, 2)


def test_frobenius(tmp_path):
    _, found = saved(tmp_path, "--norm", "frobenius", "--cell", "gru", *SMALL)
    np.testing.assert_allclose(found["rows"][0]["log10"][0], math.log10(2), rtol=1e-15)  # √H


def test_a_single_step():
    output = invoke("--cell", "lstm", "--steps", "1", "--hidden", "3")
    assert "lstm:remember=0" in output
    invoke("--what", "radius", "--cell", "lstm", "--steps", "1", "--hidden", "3")


def test_a_text_in_place_of_random_sequences(tmp_path):
    _, found = saved(tmp_path, "--cell", "gru", "--text", "abcab", "--hidden", "4")
    assert np.shape(found["rows"][0]["log10"]) == (6, 1)


def test_gates(tmp_path):
    call = ("--what", "gates", "--cell", "lstm", "--cell", "gru", "--text", "abca", "--hidden", "5")
    output, found = saved(tmp_path, *call)
    assert [(r["cell"], r["gate"]) for r in found["rows"]] == [
        *[("lstm", g) for g in "ifgo"], *[("gru", g) for g in "rzn"],
    ]  # fmt: skip
    assert np.shape(found["rows"][0]["values"]) == (4, 5)
    f = found["rows"][1]
    assert f"{f['mean']:.2f}" in output and f["low"] is not None
    _, found = saved(tmp_path, *call[:4], *call[6:], "--gate", "f", "--gate", "c'")
    assert [r["gate"] for r in found["rows"]] == ["f", "c'"]


def test_every_cell_can_be_shown():
    """One with masks, one with a clock, one that needs I = H, a linear one."""
    cells = ["lstm[zoneout=true]", "clockwork[periods=1:2]:gain=2", "sru", "min_lstm"]
    for what in ("flow", "radius", "gradients"):
        invoke("--what", what, *[a for c in cells for a in ("--cell", c)], *SMALL)


@pytest.fixture
def untrained(monkeypatch):
    """What the command hands to train, which does not run."""
    seen = {}

    def train(text, target, settings):
        seen["settings"] = settings
        return Training(initial_model(settings, Vocabulary.of(text)), [6.6])

    monkeypatch.setattr(charlm, "train", train)
    return seen


def test_a_trained_model(untrained, tmp_path):
    call = ("--cell", "lstm", "--text", "The import", "--hidden", "4", "--train", "7")
    output, found = saved(tmp_path, *call)
    assert "lstm: 6.60 bits per character after 7 steps" in output
    assert untrained["settings"].steps == 7 and untrained["settings"].hidden == 4
    assert found["rows"][0]["bits"] == 6.6 and np.shape(found["rows"][0]["log10"]) == (11, 1)
    _, found = saved(tmp_path, "--what", "gates", *call)
    assert np.shape(found["rows"][0]["values"]) == (10, 4)
    refuses("a start is for untrained cells", *call, "--cell", "gru:gain=2")
    refuses("--gain is for untrained cells", *call, "--gain", "2")


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
@pytest.mark.parametrize("what", ["flow", "radius", "gradients", "gates"])
def test_pictures(what, suffix, start, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"picture{suffix}"
    more = ("--text", "a b$\n", "--hidden", "4") if what == "gates" else SMALL
    call = ("--what", what, "--cell", "lstm", "--cell", "elman_tanh:gain=2", *more)
    invoke(*call, "--plot", path)
    first = path.read_bytes()
    assert first.startswith(start)
    invoke(*call, "--plot", path)
    assert path.read_bytes() == first  # the same figures, the same file
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_pictures_of_odd_numbers(tmp_path):
    """Zero, infinite and missing norms leave gaps; so does a gate that is never finite."""
    pytest.importorskip("matplotlib")
    path = str(tmp_path / "picture.svg")
    values = np.array([[0.0, 0.0], [-700.0, 300.0], [-np.inf, np.inf], [np.nan, 1.0]])
    curve = {"label": "a_b", "x": range(4), "log10": values}
    draw_curves(path, "title", "x", "y", [curve] * 9)
    draw_gates(path, "ab", [("t", np.full((2, 3), np.nan)), ("u", np.zeros((2, 3)) - 1)])
    draw_gates(path, "a" * 400, [("t", np.zeros((400, 2)))])
    assert visible(" ") == "␣" and visible("\x00") == "·" and visible("x") == "x"


def test_numbers():
    told = {0.0: "1", -0.2: "0.63", 1.0: "10", 3.5: "3162", -602.06: "8.7e-603", 954.2: "1.6e+954"}
    told |= {-math.inf: "0", math.inf: "inf", math.nan: "nan", 4.0: "1.0e+04", -3.00001: "1.0e-03"}
    assert {value: decimal(value) for value in told} == told
    assert spread(100) == [1, 25, 50, 75, 100] and spread(1) == [1] and spread(3) == [1, 2, 3]


CELL = ("--cell", "lstm")


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("unknown cell 'lsmt'", ("--cell", "lsmt")),
        ("unknown start of lstm 'grain'", ("--cell", "lstm:grain=3")),
        ("--steps is 0; needs a whole number of at least 1", (*CELL, "--steps", "0")),
        ("--batch is 0", (*CELL, "--batch", "0")),
        ("--hidden is -1", (*CELL, "--hidden", "-1")),
        ("--input-size is 0", (*CELL, "--input-size", "0")),
        ("--seed is -1", (*CELL, "--seed", "-1")),
        ("remember is 1", (*CELL, "--remember", "1")),
        ("--remember 5: no cell here", ("--cell", "elman_tanh", "--remember", "5")),
        ("--text is empty", (*CELL, "--text", "")),
        ("--what gates shows the gates over a text", (*CELL, "--what", "gates")),
        ("--steps is for random sequences", (*CELL, "--text", "a", "--steps", "3")),
        ("--batch is for random sequences", (*CELL, "--text", "a", "--batch", "3")),
        ("--train is for reading a --text", (*CELL, "--train", "3")),
        ("--train is 0", (*CELL, "--train", "0", "--text", "a")),
        ("--gate is for --what gates", (*CELL, "--gate", "f")),
        ("--norm is for --what flow", (*CELL, "--what", "radius", "--norm", "frobenius")),
        ("--loss is for --what gradients", (*CELL, "--loss", "every")),
        ("unknown gate of lstm 'z'", (*CELL, "--what", "gates", "--text", "a", "--gate", "z")),
        ("--target is not for --what gates",
         (*CELL, "--what", "gates", "--text", "a", "--target", "cpu")),
        ("unknown target 'tpu'", (*CELL, "--target", "tpu")),
        ("its name must end in .svg or .png", (*CELL, "--plot", "picture.pdf")),
        ("can't write", (*CELL, "--json", "/no/such/folder/x.json")),
        ("needs H = I", ("--cell", "sru[input_projection=False]", "--input-size", "3")),
    ],
)  # fmt: skip
def test_bad_calls(message, arguments):
    refuses(message, *arguments)


def test_a_cell_is_needed():
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 2 and "Missing option '--cell'" in result.output


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    error = refuses("matplotlib can't be imported", *CELL, "--plot", "picture.svg")
    assert isinstance(error, MissingDependency) and "rnnbench[plot]" in str(error)


def test_help_teaches():
    output = CliRunner().invoke(command, ["--help"]).output
    for word in ("vanishes", "explodes", "--remember", "radius", "heat"):
        assert word in output
    assert max(map(len, output.splitlines())) <= 80


def test_defaults_start_as_init_params_says(tmp_path):
    _, found = saved(tmp_path, "--cell", "elman_tanh", *SMALL)
    assert found["rows"][0]["gain"] == 1.0 and found["rows"][0]["biases"] == {}
    assert init_params("elman_tanh", 4, 4)["R"].shape == (4, 4) and get_cell("elman_tanh")


@pytest.mark.parametrize(
    "sizes",
    [
        ("--steps", 10**12, "--hidden", 2),
        ("--hidden", 10**9),
        ("--hidden", 10**23),
        ("--steps", 10**27),
        ("--input-size", 10**14, "--hidden", 2),
    ],
)
def test_sizes_that_fit_no_memory(sizes):
    refuses("not enough memory for T=.*; needs smaller ones", *CELL, *sizes)


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_has_not(tmp_path):
    pytest.importorskip("matplotlib")
    draw_gates(str(tmp_path / "picture.png"), "日本", [("t", np.zeros((2, 3)))])
