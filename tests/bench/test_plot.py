"""The picture: what it is drawn from, where it goes, and what is refused before anything runs."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnnbench.commands.compare import command
from rnnbench.errors import InputError, MissingDependency
from rnnbench.peers import OURS
from rnnbench.peers.plot import check_plot, draw, panels, read
from rnnbench.peers.rounds import Comparison, Result, Timing
from rnnbench.peers.show import as_json
from rnnbench.peers.workload import DIRECTIONS, FORWARD, TRAIN, Workload
from rnnbench.shapes import TINY


@pytest.fixture
def saved(tmp_path):
    """A file of results: one peer timed, one not, none for train."""
    results = []
    for direction in DIRECTIONS:
        for shape in TINY:
            timings = {OURS: Timing(seconds=[1e-5]), "wrong": Timing()}
            timings["wrong"].stop("disagrees", "y is off")
            if direction == FORWARD:
                timings["torch"] = Timing(seconds=[3e-5])
            results.append(Result(Workload("gru", shape, direction), timings, sgemm=100.0))
    path = tmp_path / "results.json"
    path.write_text(json.dumps(as_json({}, results)))
    return path


def invoke(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)


def test_rows(saved):
    rows = panels(read(saved))["gru"]
    assert list(rows) == list(DIRECTIONS)
    assert [row["shape"] for row in rows[TRAIN]] == [shape.name for shape in TINY]
    assert rows[FORWARD][0]["gflops"].keys() == {OURS, "torch"}
    assert rows[FORWARD][0]["speedup"] == pytest.approx(3.0)
    assert rows[TRAIN][0]["gflops"].keys() == {OURS} and rows[TRAIN][0]["speedup"] is None


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_saved_results_are_drawn(saved, suffix, start):
    pytest.importorskip("matplotlib")
    path = saved.with_name(f"picture{suffix}")
    assert invoke("--from", saved, "--plot", path).exit_code == 0
    first = path.read_bytes()
    assert first.startswith(start)
    draw(read(saved), path)
    assert path.read_bytes() == first  # the same figures, the same file
    assert sorted(p.name for p in saved.parent.iterdir()) == [path.name, saved.name]


@pytest.mark.parametrize("name", ["compare.json", "compare-lstm.json"])
def test_our_own_files_are_drawn(name, tmp_path):
    pytest.importorskip("matplotlib")
    draw(read(Path(__file__).parents[2] / "results" / name), tmp_path / "picture.svg")


def test_a_comparison_is_drawn(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")

    def run(self, workload, report=print):
        return Result(workload, {OURS: Timing(seconds=[1e-5])}, sgemm=100.0)

    monkeypatch.setattr(Comparison, "run", run)
    monkeypatch.setattr(Comparison, "sgemm_source", "whose", raising=False)
    monkeypatch.setattr(Comparison, "__enter__", lambda self: self)
    monkeypatch.setattr(Comparison, "__exit__", lambda self, *_: None)
    path = tmp_path / "picture.svg"
    assert invoke("--cell", "gru", "--shape", TINY[0].name, "--plot", path).exit_code == 0
    assert path.read_bytes().startswith(b"<?xml")


def refused(monkeypatch, *arguments):
    """The error, raised before any process was started."""
    monkeypatch.setattr(Comparison, "__enter__", lambda self: pytest.fail("it was started"))
    with pytest.raises(InputError) as error:
        invoke("--cell", "gru", *arguments) if "--from" not in arguments else invoke(*arguments)
    assert "\n" not in str(error.value)
    return error.value


def test_without_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    error = refused(monkeypatch, "--plot", tmp_path / "picture.svg")
    assert isinstance(error, MissingDependency) and "rnnbench[plot]" in str(error)


@pytest.mark.parametrize("name", ["picture.pdf", "picture", ".svg", "", "picture.SVG.txt"])
def test_an_unknown_suffix(name, monkeypatch):
    assert ".svg or .png" in str(refused(monkeypatch, "--plot", name))


def test_a_place_that_can_not_be_written(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    error = refused(monkeypatch, "--plot", tmp_path / "missing" / "picture.svg")
    assert str(error).startswith("can't write")
    check_plot(None)


@pytest.mark.parametrize("more", [("--rounds", "7"), ("--json", "b.json"), ("--cell", "gru"), ()])
def test_saved_results_go_with_a_plot_alone(more, saved, monkeypatch):
    pytest.importorskip("matplotlib")
    plot = ("--plot", saved.with_name("picture.svg")) if more else ()
    assert "needs --plot" in str(refused(monkeypatch, "--from", saved, *plot, *more))


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"results": []}', '{"results": [{"cell": "gru"}]}', '"results"']
)
def test_a_file_that_holds_something_else(text, saved, monkeypatch):
    pytest.importorskip("matplotlib")
    saved.write_text(text)
    error = refused(monkeypatch, "--from", saved, "--plot", saved.with_name("picture.svg"))
    assert "holds no results" in str(error)
