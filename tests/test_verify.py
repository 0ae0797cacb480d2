"""Job 1 itself: it passes on what is right, and fails on every planted mistake."""

import itertools
import json
import os
from dataclasses import astuple, replace

import numpy as np
import pytest
from click.testing import CliRunner

from rnnbench import InputError, cell_names, get_cell, get_target
from rnnbench.cells import get_definition
from rnnbench.cli import main
from rnnbench.conformance.checks import CHECKS
from rnnbench.conformance.features import representatives
from rnnbench.conformance.kernel_checks import (
    Context,
    check_edges,
    check_options,
    check_random,
    check_scan,
    compare,
)
from rnnbench.conformance.plants import PLANTS, PlantedTarget
from rnnbench.conformance.reference_checks import check_reference
from rnnbench.conformance.variants import variant_names
from rnnbench.conformance.verify import TARGETS, Unit, location, run_unit, select, verify
from rnnbench.gradients import scan

CELLS = cell_names()
APPLICABLE = [(p, c) for p in PLANTS for c in CELLS if PLANTS[p].applies(get_cell(c))]
# Compiled, each mistake on two cells: the kernels do not know which cell they run.
COMPILED = [pair for p in PLANTS for pair in [q for q in APPLICABLE if q[0] == p][-2:]]
UNITS = [u for u in select([], [], []) if u.target in ("cpu", "plain", "reference")]
BOTH = [u for cell in representatives() for u in select([cell], ["cpu"], [])]


@pytest.mark.parametrize(
    "unit", dict.fromkeys(UNITS + BOTH), ids=lambda u: "-".join(map(str, astuple(u)))
)
def test_what_verify_selects_is_right(unit):
    report = run_unit(unit)
    assert report.passed, report.crash or report.first_failure


def test_the_default_selection_covers():
    """Every cell on every target, both dtypes on both kernel targets, every value of every
    option; --all has every cell and variant on every target in every dtype."""
    units = select([], [], [])
    assert {(u.cell, u.target) for u in units} >= set(itertools.product(CELLS, TARGETS))
    both = set(itertools.product(("cpu", "cuda"), ("float32", "float64")))
    assert {(u.target, u.dtype) for u in units} >= both
    for name in CELLS:
        variants = [get_cell(u.cell) for u in units if u.cell.startswith(f"{name}[")]
        for option in get_definition(name).options:
            assert option.samples, f"{name} {option.name}"
            taken = {v.options.get(option.name) for v in variants}
            assert set(option.samples) <= taken, f"{name} {option.name}"
    assert not any(u.thorough for u in units)
    every = select([], [], [], everything=True)
    assert all(u.thorough for u in every)
    every = {replace(u, thorough=False) for u in every}
    assert every > set(units)
    assert len(every) == 6 * len({u.cell for u in every})


@pytest.mark.parametrize(("plant", "cell"), APPLICABLE)
def test_every_plant_is_caught(plant, cell):
    """On every cell it applies to, by the checks, in plain NumPy."""
    target = PlantedTarget(get_target("plain"), PLANTS[plant])
    context = Context(target, get_target("reference"), cell, np.dtype("float64"), quick=False)
    assert not all(result.passed for check in CHECKS for result in check(context))


def test_a_wrong_scan_is_caught(monkeypatch):
    """One wrong step of the scan, by 0.1 %, on every cell that has one."""
    cells = [c for c in CELLS if get_cell(c).spec.scan]
    right = scan.affine
    monkeypatch.setattr(scan, "affine", lambda f, c, u: right(f, c, u) * 1.001)
    target, kind = get_target("plain"), np.dtype("float64")
    for cell in cells:
        c = Context(target, get_target("reference"), cell, kind, quick=True)
        assert not all(result.passed for result in check_scan(c)), cell


def test_an_ignored_option_is_caught():
    """On every variant of which an option can be ignored, wide clips among them."""
    plant, caught = PLANTS["ignored-option"], []
    for cell in [*variant_names(), "lstm[cell_clip=3]", "gru[clip=3]", "elman_tanh[clip=5]"]:
        if plant.applies(get_cell(cell)):
            target = PlantedTarget(get_target("plain"), plant)
            c = Context(target, get_target("reference"), cell, np.dtype("float64"), quick=True)
            checks = (check_random, check_options)
            caught.append(not all(result.passed for check in checks for result in check(c)))
    assert all(caught) and len(caught) > 200


@pytest.mark.parametrize(("plant", "cell"), COMPILED)
def test_every_plant_is_caught_on_the_cpu(plant, cell):
    report = run_unit(Unit(cell, "cpu", "float32"), plant)
    assert not report.crash
    assert report.caught


def test_a_plant_that_does_not_apply_changes_nothing():
    plant = PLANTS["reversed-peepholes"]
    cell = next(c for c in CELLS if not plant.applies(get_cell(c)))
    target = PlantedTarget(get_target("reference"), plant)
    context = Context(target, get_target("reference"), cell, np.dtype("float64"), quick=True)
    assert all(result.passed for result in check_edges(context))


def test_a_wrong_reference_gradient_is_caught(monkeypatch):
    import rnnbench_reference as reference

    real = reference.backward

    def wrong(*arguments):
        grads = real(*arguments)
        grads.params["R"][0, 0] *= 1.001
        return grads

    monkeypatch.setattr(reference, "backward", wrong)
    bad = [r.argument for r in check_reference(CELLS[0]) if not r.passed]
    assert set(bad) == {"dR"}


def test_float32_error_is_far_below_its_tolerance():
    """The tolerances are not so wide that they hide a loss of accuracy: a tenth is enough."""
    for cell in ("elman_tanh", "gru", "lstm_peephole"):
        c = Context(get_target("cpu"), get_target("reference"), cell, np.dtype("float32"), True)
        assert all(r.error <= 0.1 * r.tolerance for r in check_random(c))


def test_every_check_yields_something():
    cells = [next(c for c in CELLS if getattr(get_cell(c).spec, k)) for k in ("reductions", "scan")]
    cells.append(variant_names()[0])
    target, kind = get_target("reference"), np.dtype("float64")
    for check in CHECKS:
        assert any(list(check(Context(target, target, cell, kind, True))) for cell in cells), check


def test_a_location_names_the_gate():
    cell = next(c for c in CELLS if len(get_cell(c).spec.gates) > 2)
    gate = get_cell(cell).spec.gates[2]
    rows = 7 * len(get_cell(cell).spec.gates)
    assert location(cell, "dW", (15, 3), (rows, 4)) == f"dW[{gate}:1,3]"
    assert location(cell, "y", (0, 1, 2), (5, 3, 7)) == "y[0,1,2]"


def test_selection():
    assert len(select(["lstm"], [], [])) == 6  # two that compile nothing, two kernels in two dtypes
    assert select(["lstm"], ["cpu"], ["float32"]) == [Unit("lstm", "cpu", "float32", True)]
    with pytest.raises(InputError, match="unknown cell 'nosuch'"):
        select(["nosuch"], [], [])
    with pytest.raises(InputError, match="unknown target 'tpu'"):
        select([], ["tpu"], [])
    with pytest.raises(InputError, match="unknown dtype 'float16'"):
        select([], [], ["float16"])


def test_command_passes_and_writes_json(tmp_path):
    out = tmp_path / "verify.json"
    run = CliRunner().invoke(
        main, ["verify", "--cell", "gru", "--target", "cpu", "-j", "1", "--json", str(out)]
    )
    assert run.exit_code == 0, run.output
    assert "2 of 2 pass" in run.output
    assert all(len(line) <= 80 for line in run.output.splitlines())
    data = json.loads(out.read_text())
    assert data["passed"] is True
    assert [u["dtype"] for u in data["units"]] == ["float32", "float64"]
    assert all(u["worst"]["ratio"] <= 1 for u in data["units"])


def test_command_fails_on_a_plant_and_points_at_it():
    arguments = ["verify", "--cell", "lstm", "--target", "cpu", "--dtype", "float32", "-j", "1"]
    run = CliRunner().invoke(main, [*arguments, "--plant", "dropped-bias"])
    assert run.exit_code == 1
    assert "caught on 1 of 1" in run.output
    assert "first in 'random' at y[" in run.output
    run = CliRunner().invoke(main, [*arguments, "--plant", "gradient-0.1%"])
    assert run.exit_code == 1
    assert "[i:" in run.output  # the gradient of gate i's pre-activation is the one that is wrong


class Deadly(Unit):
    """Ends the worker that unpickles it, as a stray write would."""

    def __reduce__(self):
        return os._exit, (3,)


def test_a_dying_worker_fails_its_unit_and_no_other():
    units = [Unit(cell, "reference", "float64") for cell in CELLS[:3]]
    units.insert(1, Deadly("gru", "cpu", "float64"))
    reports = {r.unit: r for r in verify(units, workers=2)}
    assert len(reports) == 4
    crashed = [unit for unit, r in reports.items() if r.crash]
    assert crashed == [units[1]]
    assert not reports[units[1]].passed


def test_a_crash_is_not_a_catch(monkeypatch):
    monkeypatch.setattr("rnnbench.conformance.checks.CHECKS", (lambda c: 1 / 0,))
    report = run_unit(Unit(CELLS[0], "cpu", "float64"), "dropped-bias")
    assert "ZeroDivisionError" in report.crash or "TypeError" in report.crash
    assert not report.passed
    assert not report.caught


def test_a_wrong_dtype_is_seen():
    got = {"y": np.zeros(3, np.float64)}
    (result,) = compare("c", got, got, lambda a: 1.0, np.dtype("float32"))
    assert not result.passed


def test_command_lists_plants():
    run = CliRunner().invoke(main, ["verify", "--plant", "list"])
    assert run.exit_code == 0
    assert all(name in run.output for name in PLANTS)
