"""The golden set: the golden rule, its bytes, its proof, and bad files."""

import itertools
import json
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from rnnbench import cell_names, get_cell
from rnnbench.conformance import cases, golden
from rnnbench.conformance.mutation import mutation_score
from rnnbench.conformance.protocol import is_forward, run_reference
from rnnbench.conformance.tolerance import departs, tolerance
from rnnbench.params import Case

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "golden"
PAIRS = list(itertools.product(cell_names(), cases.PROBLEMS))


# the committed set


def test_the_committed_set_regenerates_byte_for_byte(tmp_path):
    entries = golden.write_set(tmp_path, (cases.golden_case(*pair) for pair in PAIRS))
    expected = {path.name for path in COMMITTED.glob("*.*") if path.suffix != ".py"}
    assert {e.file for e in entries} | {golden.INDEX} == expected
    for name in expected:
        assert (tmp_path / name).read_bytes() == (COMMITTED / name).read_bytes(), name


def test_the_committed_results_follow_from_the_stored_inputs(goldens):
    """The proof needs no generator: the stored inputs alone give the stored results."""
    for stored in goldens:
        again = cases.solve(stored.problem, stored.inputs)
        for name, array in stored.expected.items():
            assert array.tobytes() == again.expected[name].tobytes(), (stored.name, name)


def test_the_set_is_small_and_shipped():
    files = [path for path in COMMITTED.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = ["*.py", *project["package-data"]["rnnbench_golden"]]
    assert all(any(fnmatch(path.name, p) for p in patterns) for path in files)
    assert project["package-dir"]["rnnbench_golden"] == "results/golden"
    assert golden.read_index(golden.packaged()) == golden.read_index(COMMITTED)


@pytest.mark.parametrize("cell, problem", PAIRS, ids=lambda v: getattr(v, "name", v))
def test_the_golden_rule(cell, problem):
    case = cases.golden_inputs(cell, problem)
    spec = get_cell(cell).spec
    T, B, I = case.x.shape
    H = case.dy.shape[2]
    assert T >= 4 and B >= 3 and I != H and I % 2 and H % 2
    assert problem.name != "ragged" or {1, T} <= set(case.lengths)
    inputs = {**case.params, **case.state, "x": case.x, "dy": case.dy, **case.dstate}
    for array in inputs.values():
        assert array.all() and len(np.unique(array)) > min(array.size, 8) // 2
        assert (array * 2**cases.FRACTION_BITS % 1 == 0).all()
        assert (array.astype(np.float32) == array).all()
    for p in spec.parameters:
        blocks = np.split(case.params[p.name], len(p.gates))
        for a, b in itertools.combinations(blocks, 2):
            assert (a != b).any()
        if p.kind == "matrix" and p.columns == p.width:
            assert all((b != b.T).any() for b in blocks)


def test_nothing_is_saturated_and_every_gradient_matters(goldens):
    for g in goldens:
        case, spec = g.inputs, get_cell(g.cell).spec
        h = np.concatenate([case.state[spec.output][None], g.expected[f"states.{spec.output}"][1:]])
        for p in spec.parameters:
            if p.kind == "matrix":
                source = case.x if p.columns == "I" else h
                assert np.abs(source @ case.params[p.name].T).max() < 4.5
            for gate in np.split(g.expected[f"d{p.name}"], len(p.gates)):
                assert np.abs(gate).max() > 0.01, (g.name, p.name)
        for name, array in g.expected.items():
            assert np.isfinite(array).all() and np.abs(array).max() > 0.05, (g.name, name)
            if is_forward(name):
                assert np.abs(array).max() < 4


def test_every_planted_mistake_is_caught(goldens):
    caught = mutation_score(goldens)
    assert len(caught) > 20 * len(cell_names())
    assert [key for key, found in caught.items() if not found] == []
    orders = [text for cell, text in caught if cell == "lstm" and "in the order" in text]
    assert len(orders) == 23  # all wrong gate orders of four gates


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tolerance_is_neither_tight_nor_wide(goldens, dtype):
    """The plain reference stays below a tenth of it; an error of 0.1 % is far above it."""
    for g in goldens:
        c = g.inputs

        def cast(arrays):
            return {k: v.astype(dtype) for k, v in arrays.items()}

        got = run_reference(
            Case(
                c.cell,
                cast(c.params),
                c.x.astype(dtype),
                cast(c.state),
                c.lengths,
                c.dy.astype(dtype),
                cast(c.dstate),
            )
        )
        for name, expected in g.expected.items():
            assert got[name].dtype == dtype
            allowed = tolerance(dtype, g.sizes, expected)
            assert np.abs(got[name] - expected).max() < allowed / 10, (g.name, name)
            assert departs(expected * 1.001, expected, dtype, g.sizes).any(), (g.name, name)


def test_metadata_tells_the_conventions():
    with safe_open(COMMITTED / "lstm-ragged.safetensors", "np") as f:
        text = json.loads(f.metadata()["rnnbench"])
        assert f.get_tensor("param.W").shape == (20, 3)
    assert text["format_version"] == 1 and text["cell"] == "lstm" and text["case"] == "ragged"
    assert text["gates"] == ["i", "f", "g", "o"] and text["states"] == ["h", "c"]
    assert text["parameters"]["W"] == {
        "kind": "matrix",
        "gates": ["i", "f", "g", "o"],
        "shape": [20, 3],
    }
    assert text["sizes"] == {"T": 6, "B": 4, "I": 3, "H": 5}
    assert "y is 0" in text["padding"] and "slot 0" in text["layout"]


def test_draws_depend_on_their_label_alone():
    assert (cases.draw("a", (3, 4)) == cases.draw("a", (4, 3)).reshape(3, 4)).all()
    assert (cases.draw("a", (3, 4)) != cases.draw("b", (3, 4))).any()
    # written down: NumPy promises this stream
    assert (cases.draw("a", (3,)) * 2**12).tolist() == DRAWN


DRAWN = [-1413, -21, -3285]


# bad files
