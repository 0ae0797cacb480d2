"""The golden set: the golden rule, its bytes, its proof, its strength."""

import itertools
import json
import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from rnnbench import cell_names, get_cell
from rnnbench.cells import get_definition
from rnnbench.conformance import cases, golden
from rnnbench.conformance.hypotheses import Hypothesis
from rnnbench.conformance.mutation import mutation_score
from rnnbench.conformance.network_golden import solve
from rnnbench.conformance.network_problems import problems
from rnnbench.conformance.protocol import is_forward, run_reference
from rnnbench.conformance.tolerance import departs, tolerance
from rnnbench.errors import InputError

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "golden"


def numbers(case) -> dict[str, np.ndarray]:
    """All arrays of a case but its lengths and per-step inputs."""
    states = {f"d{name}": a for name, a in case.dstate.items()}
    return {"x": case.x, "dy": case.dy, **case.params, **case.state, **states}


def blocks(spec, name, array):
    """(gate, its rows) of an array like that parameter."""
    p = spec.parameter(name)
    return zip(p.gates, np.split(np.atleast_1d(array), len(p.gates)), strict=True)


# the committed set


def test_the_committed_set_regenerates_byte_for_byte(tmp_path):
    made = (cases.golden_case(*pair) for pair in cases.golden_pairs())
    entries = golden.write_set(tmp_path, made)
    entries += golden.write_set(tmp_path, map(solve, problems()), golden.NETWORKS)
    expected = {path.name for path in COMMITTED.glob("*.*") if path.suffix != ".py"}
    assert {e.file for e in entries} | {golden.INDEX, golden.NETWORKS.index} == expected
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
    assert sum(path.stat().st_size for path in files) < 8_000_000
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = ["*.py", *project["package-data"]["rnnbench_golden"]]
    assert all(any(fnmatch(path.name, p) for p in patterns) for path in files)
    assert project["package-dir"]["rnnbench_golden"] == "results/golden"
    assert golden.read_index(golden.packaged()) == golden.read_index(COMMITTED)


def test_every_cell_and_every_value_of_every_option_has_a_case(goldens):
    problems = {p.name for p in cases.PROBLEMS}
    for name in cell_names():
        assert {g.problem for g in goldens if g.cell == name} == problems
        used = [get_cell(g.cell).options for g in goldens if g.cell.startswith(f"{name}[")]
        for option in get_definition(name).options:
            for value in option.samples:
                assert any(u.get(option.name) == value for u in used), (name, option.name, value)


# the golden rule


def test_sizes_and_lengths(goldens):
    for g in goldens:
        spec, sizes = get_cell(g.cell).spec, g.sizes
        T, B, I, H = (sizes[letter] for letter in "TBIH")
        assert T >= 4 and B >= 3 and I % 2 and H % 2, g.name
        assert (I == H) == bool(spec.equal_widths), g.name  # where x itself is added
        assert all(1 < sizes[w] < H for w in spec.widths), g.name  # a projection makes it narrower
        lengths = list(g.inputs.lengths)
        assert g.problem != "ragged" or ({1, T} <= set(lengths) and lengths != sorted(lengths))
        assert g.problem != "empty_row" or 0 in lengths


def test_numbers_are_distinct_exact_and_not_zero(goldens):
    for g in goldens:
        spec, case = get_cell(g.cell).spec, g.inputs
        for name, array in numbers(case).items():
            assert array.all() and len(np.unique(array)) > min(array.size, 8) // 2, (g.name, name)
        for name, array in (numbers(case) | case.inputs).items():
            assert (array * 2**cases.FRACTION_BITS % 1 == 0).all(), (g.name, name)
            assert (array.astype(np.float32) == array).all(), (g.name, name)
        for name, array in case.inputs.items():  # a mask has two values, about as often
            share = (array == array.min()).mean()
            assert 0 < share < 0.75, (g.name, name)
        for p in spec.parameters:
            own = [rows for _, rows in blocks(spec, p.name, case.params[p.name])]
            assert all((a != b).any() for a, b in itertools.combinations(own, 2)), (g.name, p.name)
            if p.kind == "matrix" and p.columns == p.width:
                assert all((rows != rows.T).any() for rows in own), (g.name, p.name)


def test_nothing_is_saturated(goldens):
    """What a matrix makes of x or of a state stays of order one, and so does every state.

    More is allowed to a state that starts from more (a normaliser), and to variants: gates
    without bounds, or negative ones, let a state grow with every step.
    """
    for g in goldens:
        case, spec = g.inputs, get_cell(g.cell).spec
        variant = bool(get_cell(g.cell).options)
        for term in (t for stage in spec.stages for t in stage.terms if t.parameter and t.source):
            history = g.expected.get(f"states.{term.source.removesuffix(chr(39))}")
            source = case.x if term.source == "x" else history
            if source is not None:
                p = spec.parameter(term.parameter)
                rows = [rows for _, rows in blocks(spec, p.name, case.params[p.name])]
                used = np.concatenate([p.transform.apply(r) if p.transform else r for r in rows])
                assert np.abs(source @ used.T).max() < (6 if variant else 3), (g.name, p.name)
        for name, array in g.expected.items():
            assert np.isfinite(array).all(), (g.name, name)
            if is_forward(name):
                start = max(s.start for s in spec.states)
                assert np.abs(array).max() < (64 if variant else 4 + start), (g.name, name)


def test_every_gradient_matters(goldens):
    """No gate of any parameter has a gradient that is small everywhere; at the initial states
    only one that nothing reads has."""
    for g in goldens:
        spec = get_cell(g.cell).spec
        for p in spec.parameters:
            for gate, gradient in blocks(spec, p.name, g.expected[f"d{p.name}"]):
                assert np.abs(gradient).max() >= cases.WEAK, (g.name, p.name, gate)
                if not get_cell(g.cell).options:  # a clip may close a variant's units, or a mask
                    assert (gradient == 0).mean() < 0.5, (g.name, p.name, gate)
        for name, array in g.expected.items():
            if np.abs(array).max() < cases.WEAK:
                assert name in {f"d{s}0" for s in unread(g)}, (g.name, name)


def unread(g) -> list[str]:
    """The states that nothing reads: another initial value changes no step."""

    def steps(case):
        run = run_reference(case)
        return [run["y"], *(run[f"states.{name}"][1:] for name in case.state)]

    found, before = [], steps(g.inputs)
    for name, value in g.inputs.state.items():
        after = steps(replace(g.inputs, state=g.inputs.state | {name: value + 1.0}))
        same = all((a == b).all() for a, b in zip(after, before, strict=True))
        found += [name] if same else []
    return found


# its strength


def test_every_planted_mistake_is_caught(goldens):
    caught = mutation_score(goldens)
    assert len(caught) > 12_000
    assert [key for key, found in caught.items() if not found] == []
    orders = [text for cell, text in caught if cell == "lstm" and "in the order" in text]
    assert len(orders) == 23  # all wrong gate orders of four gates
    for name in cell_names():
        assert len({text for cell, text in caught if cell == name}) >= 3, name


def test_a_mistake_that_float32_hides_counts_as_missed(goldens, monkeypatch):
    (case,) = [g for g in goldens if g.name == "lstm-ragged"]
    for error, score in ((1e-3, {"off": True}), (1e-7, {"off": False}), (1e-16, {})):
        guess = Hypothesis("off", case.inputs, lambda result, e=error: {"y": result["y"] + e})
        monkeypatch.setattr("rnnbench.conformance.mutation.hypotheses", lambda inputs, g=guess: [g])
        assert mutation_score([case]) == {("lstm", text): found for text, found in score.items()}


def steep(spec) -> bool:
    """A gate of the time opens within a small share of its cycle: its slope multiplies the
    rounding of the phase."""
    return any(not i.width for i in spec.inputs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tolerance_is_neither_tight_nor_wide(goldens, dtype):
    """The plain reference stays below a tenth of it (a fifth in variants, whose gates may be
    negative or above 1); an error of 0.1 % is far above it."""
    for g in goldens:
        c = g.inputs

        def cast(arrays):
            return {k: v.astype(dtype) for k, v in arrays.items()}

        got = run_reference(
            replace(
                c,
                params=cast(c.params),
                x=c.x.astype(dtype),
                state=cast(c.state),
                dy=c.dy.astype(dtype),
                dstate=cast(c.dstate),
                inputs=cast(c.inputs),
            )
        )
        share = 3 if steep(get_cell(g.cell).spec) else 5 if get_cell(g.cell).options else 10
        for name, expected in g.expected.items():
            assert got[name].dtype == dtype
            allowed = tolerance(dtype, g.sizes, expected)
            assert np.abs(got[name] - expected).max() < allowed / share, (g.name, name)
            if expected.any():
                assert departs(expected * 1.001, expected, dtype, g.sizes).any(), (g.name, name)


# draws and metadata


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
    assert (cases.draw("a", (3,)) * 2**12).tolist() == [-1413, -21, -3285]


def test_a_weak_case_is_drawn_anew(monkeypatch):
    """Where a clip leaves hardly any slope, the first draws may have a gate that does nothing."""
    tried, solve = [], cases.solve

    def counted(*arguments):
        tried.append(solve(*arguments))
        return tried[-1]

    monkeypatch.setattr(cases, "solve", counted)
    name = "lstm[gate_activation=thresholded_relu(0.25),clip=0.375]"
    found = cases.golden_case(name, cases.RAGGED)
    assert len(tried) > 1 and cases.weakest(found) == max(map(cases.weakest, tried))
    tried.clear()
    cases.golden_case("gru", cases.RAGGED)
    assert len(tried) == 1


def test_a_cell_without_finite_results_has_no_case():
    with pytest.raises(InputError, match=r"no golden case ragged of .* none has finite results"):
        cases.golden_case("lipschitz_rnn[epsilon=1e300]", cases.RAGGED)
