"""``rnnbench speed gradients``: each way agrees with the plain one, and is timed beside it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rnnbench import get_target
from rnnbench.commands import speed
from rnnbench.gradients.schedule import cost
from rnnbench.peers import figures, ways, ways_figure
from rnnbench.peers.ways import SCHEDULES, Way, predicted
from rnnbench.shapes import Shape, square


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One call a timing, no pause, no further process."""
    monkeypatch.setattr("rnnbench.peers.timing.SECONDS", 0)
    monkeypatch.setattr(figures, "PAUSE", 0)
    monkeypatch.setattr(ways_figure, "memory_added", lambda way, threads, module: 1_000_000)


def invoke(path, *arguments):
    options = ["--rounds", "1", "--threads", "1", "--json", str(path), *arguments]
    found = CliRunner().invoke(speed.command, ["gradients", *options], catch_exceptions=False)
    assert max(map(len, found.stdout.splitlines())) <= 80
    return found, json.loads(path.read_text())["figures"]["gradients"]


def test_every_group(tmp_path):
    found, rows = invoke(tmp_path / "out.json", "--shape", "T9B2I3H4")
    assert found.exit_code == 0, found.output
    assert {r["group"] for r in rows} == set(ways_figure.GROUPS)
    assert {r["way"] for r in rows} == set(ways.ways())
    assert all(r["status"] == "timed" for r in rows)
    plain = [r for r in rows if r["way"] == ways_figure.GROUPS[r["group"]].plain]
    assert all(r["ratio"]["median"] == 1 for r in plain)
    for r in rows:
        assert ("predicted" in r) == (r["way"] in SCHEDULES)
    (scan,) = [r for r in rows if r["way"] == "scan"]
    assert scan["cell"] == ways_figure.LINEAR


def test_a_wrong_way_is_not_timed(tmp_path, monkeypatch):
    right = ways.by_rtrl

    def wrong(target, case):
        call = right(target, case)
        return lambda: {name: a * np.float32(1.001) for name, a in call().items()}

    monkeypatch.setattr(ways, "by_rtrl", wrong)
    found, rows = invoke(tmp_path / "out.json", "--shape", "T9B2I3H4")
    assert found.exit_code == 1
    bad = [r for r in rows if r["status"] != "timed"]
    assert [r["way"] for r in bad] == ["rtrl"] and "off by" in bad[0]["reason"]
    assert "not timed" in found.output


def test_the_prediction_counts_steps():
    """Were all kinds of steps alike, the time would be their number."""
    way = Way.of("elman_tanh", square(100, 1, 4), "sqrt")
    steps = cost(SCHEDULES["sqrt"](100))
    assert predicted(way, [1.0, 1.0, 1.0]) == (steps.forward + 100) / 200
    # a step with a tape costs nothing more where it is the only one that is counted
    assert predicted(way, [0.0, 1.0, 0.0]) == 1.0


@pytest.mark.parametrize("way", ways.ways())
def test_ways_are_driven_like_a_peer(way):
    cell = ways_figure.LINEAR if way == "scan" else "elman_tanh"
    run, arrays = ways.prepare(Way.of(cell, Shape(5, 2, 3, 3), way), 1)
    assert all(np.isfinite(a).all() for a in arrays(run()).values())
    assert get_target("cpu", threads=1).threads == 1
