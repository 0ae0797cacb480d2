"""The figures of ``rnnbench speed``: what is divided by what, what is refused, what is shown."""

import io
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from rnnbench import cell_names
from rnnbench.commands import speed
from rnnbench.errors import InputError
from rnnbench.peers import figures, growth, ours, start
from rnnbench.peers.figure_tables import show_cells, show_steps
from rnnbench.peers.figures import Wide, heading, in_turn, slot_units
from rnnbench.peers.speed import FIGURES
from rnnbench.peers.timing import median_seconds
from rnnbench.peers.workload import DIRECTIONS, FORWARD, TRAIN, Workload
from rnnbench.shapes import TINY, Shape, get_shape

SHAPE = TINY[0]
LENGTHS = [SHAPE._replace(T=T) for T in (3, 6, 12)]
SPREAD = {"median", "low", "high", "rounds"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One call a timing, no pause."""
    monkeypatch.setattr("rnnbench.peers.timing.SECONDS", 0)
    monkeypatch.setattr(figures, "PAUSE", 0)


def invoke(*arguments):
    return CliRunner().invoke(speed.command, [*map(str, arguments)], catch_exceptions=False)


def measured(tmp_path, *arguments, exit_code=0):
    """The JSON's figures, of a run at the tiny shape, and what was printed."""
    path = tmp_path / "out.json"
    out = invoke(*arguments, "--json", path)
    assert out.exit_code == exit_code, out.output
    assert max(map(len, out.stdout.splitlines())) <= 80
    data = json.loads(path.read_text())
    assert {"machine", "rnnbench", "threads", "rounds", "load", "flops"} < data.keys()
    assert data["definitions"].keys() == data["figures"].keys()
    return data["figures"], out.stdout


def test_cells(tmp_path):
    """Quotients are taken round by round, with the LSTM of the same rounds."""
    names = ["lstm", "gru", "gru_reset_before"]
    asked = [a for name in names for a in ("--cell", name)]
    found, out = measured(
        tmp_path, "cells", *asked, "--shape", SHAPE.name, "--threads", 1, "--rounds", 2
    )
    rows = found["cells"]
    assert [(r["cell"], r["direction"]) for r in rows] == [
        (n, d) for n in names for d in DIRECTIONS
    ]
    for row in rows:
        own = Workload(row["cell"], SHAPE, row["direction"])
        lstm = Workload("lstm", SHAPE, row["direction"])
        assert row["flops"] == own.flops() and row["shape"]["name"] == SHAPE.name
        two = row["cell"] == "gru_reset_before"
        assert (row["stages"], row["limit"]) == ((2, 1.6) if two else (1, 1.3))
        pairs = list(zip(row["seconds"]["rounds"], row["lstm_seconds"]["rounds"], strict=True))
        assert len(pairs) == 2
        assert row["per_gate"]["rounds"] == pytest.approx(
            [(a / own.flops()) / (b / lstm.flops()) for a, b in pairs]
        )
        slots = {"lstm": 4, "gru": 4, "gru_reset_before": 3}[row["cell"]] * SHAPE.H
        assert row["per_slot"]["rounds"] == pytest.approx(
            [(a / slots) / (b / (4 * SHAPE.H)) for a, b in pairs]
        )
        assert row["within"] == (row["per_gate"]["median"] <= row["limit"])
        assert row["gflops"] == pytest.approx(own.flops() / row["seconds"]["median"] / 1e9)
        for key in ("seconds", "lstm_seconds", "per_gate", "per_slot"):
            assert row[key].keys() == SPREAD
            assert row[key]["low"] <= row[key]["median"] <= row[key]["high"]
    assert f"{SHAPE.name}, train: × LSTM" in out and "of 3 cells within their limit" in out


def test_the_lstm_has_the_shape_of_the_cell(monkeypatch):
    """A cell that adds x itself runs with I = H."""
    prepared = []

    def checked(workload, threads):
        prepared.append((workload.cell, workload.shape))
        return lambda: None

    monkeypatch.setattr(figures, "checked", checked)
    cell = "sru[input_projection=False]"
    figures.cells(["gru", cell], [SHAPE], 1, 1, print)
    wide = SHAPE._replace(I=SHAPE.H)
    for name, shape in (("gru", SHAPE), (cell, wide)):
        assert prepared.count((name, shape)) == prepared.count(("lstm", shape)) == 2


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        ("lstm", 4 * 7),
        ("gru", 4 * 7),
        ("sru", 4 * 7),
        ("qrnn", 3 * 7),  # its second stage keeps x
        ("scrn", 4 + 7),  # S = 4
        ("nas_cell", 9 * 7),  # one is fed by x alone, one by h alone
        ("lstm[projection=True]", 4 * 7 + 4),  # P = 4
    ],
)
def test_slots_are_those_that_a_matrix_feeds(cell, count):
    assert slot_units(Workload(cell, SHAPE, FORWARD)) == count


def test_dtype(tmp_path, monkeypatch):
    prepared, prepare = [], ours.prepare

    def spy(workload, threads):
        run, arrays = prepare(workload, threads)

        def named(result):
            found = arrays(result)
            prepared.append({a.dtype.name for a in found.values()})
            return found

        return run, named

    monkeypatch.setattr(ours, "prepare", spy)
    found, out = measured(
        tmp_path, "dtype", "--cell", "gru", "--shape", SHAPE.name, "--rounds", 2, "--threads", 1
    )
    assert prepared == [{"float32"}, {"float64"}] * 2
    assert [r["direction"] for r in found["dtype"]] == list(DIRECTIONS)
    for row in found["dtype"]:
        both = zip(row["float32"]["rounds"], row["float64"]["rounds"], strict=True)
        assert row["ratio"]["rounds"] == pytest.approx([a / b for a, b in both])
    assert "the rate of float64" in out


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_float64_is_judged_as_float64(direction):
    narrow, wide = Workload("lstm", SHAPE, direction), Wide("lstm", SHAPE, direction)
    assert all(
        a.dtype == np.float64 and np.array_equal(a, narrow.case().params[name])
        for name, a in wide.case().params.items()
    )
    right = wide.expected()
    assert wide.disagreement(right) == ""
    for name, array in right.items():
        rounded = array.astype(np.float32)
        for bad in (rounded, np.where(array == array.max(), np.nan, array), array[None]):
            assert name in wide.disagreement(right | {name: bad})
        assert narrow.disagreement(right | {name: rounded}) == ""
        assert name in wide.disagreement({n: a for n, a in right.items() if n != name})


def test_threads(tmp_path, monkeypatch):
    asked, prepare = [], ours.prepare
    monkeypatch.setattr("rnnbench.cpu.threads.available", lambda: 3)
    monkeypatch.setattr(ours, "prepare", lambda w, n: asked.append(n) or prepare(w, n))
    found, out = measured(tmp_path, "threads", "--shape", SHAPE.name, "--rounds", 2)
    assert asked == [1, 3] * 2
    for row in found["threads"]:
        both = zip(row["one"]["rounds"], row["all"]["rounds"], strict=True)
        assert row["threads"] == 3
        assert row["speedup"]["rounds"] == pytest.approx([a / b for a, b in both])
    assert "3 threads against one" in out


@pytest.mark.parametrize("memory", [None, lambda T: 1000 * T + 500])
def test_time(memory, tmp_path, monkeypatch):
    """In the order of T, with a line through both quantities, or through the one there is."""
    monkeypatch.setattr(
        growth, "memory_added", lambda workload, threads: memory and memory(workload.shape.T)
    )
    asked = [a for shape in reversed(LENGTHS) for a in ("--shape", shape.name)]
    found, out = measured(tmp_path, "time", *asked, "--threads", 1, "--rounds", 2)
    assert [(r["cell"], r["direction"]) for r in found["time"]] == [("lstm", d) for d in DIRECTIONS]
    for row in found["time"]:
        assert [p["shape"]["T"] for p in row["points"]] == [3, 6, 12]
        assert all(len(p["seconds"]["rounds"]) == 2 for p in row["points"])
        medians = [p["seconds"]["median"] for p in row["points"]]
        assert row["fit"]["seconds"] == pytest.approx(growth.straight_line([3, 6, 12], medians))
        line = row["fit"]["memory"]
        assert line is None if memory is None else line["per_step"] == pytest.approx(1000)
    assert ("memory:" in out) == (memory is not None)
    assert "seconds:" in out


def test_a_known_line():
    line = growth.straight_line([10, 20, 40], [52.0, 102.0, 202.0])
    assert line == pytest.approx(
        {"per_step": 5, "intercept": 2, "r_squared": 1, "largest_residual": 0}, abs=1e-9
    )
    # a line by relative errors, once furthest below a point, once above it
    T = np.array([1.0, 2, 3])
    for values in ([1.0, 1.0, 1.5], [1.0, 1.5, 1.5]):
        line, y = growth.straight_line(T, values), np.array(values)
        exact = np.linalg.lstsq(np.stack([T / y, 1 / y], axis=1), np.ones(3), rcond=None)[0]
        assert [line["per_step"], line["intercept"]] == pytest.approx(list(exact))
        off = np.abs((exact[0] * T + exact[1]) / y - 1)
        assert line["largest_residual"] == pytest.approx(off.max())
        assert line["r_squared"] == pytest.approx(1 - np.sum((off * y) ** 2) / (3 * y.var()))
    assert growth.straight_line([1, 2, 3], [1.0, None, 2.0]) is None
    assert growth.straight_line([1, 2, 3], [4, 4, 4]) is None


def test_steps(tmp_path, monkeypatch):
    timed = iter(range(1, 100))
    monkeypatch.setattr(figures, "median_seconds", lambda run: run() and next(timed) * 1e-3)
    shapes = [get_shape("T4B1H8"), get_shape("T2B1H8")]
    found, _ = measured(
        tmp_path, "steps", *[a for s in shapes for a in ("--shape", s.name)],
        *("--cell", "gru", "--cell", "lstm", "--rounds", 2),
    )  # fmt: skip
    rows = found["steps"]
    assert [(r["shape"]["T"], r["cell"]) for r in rows] == [
        (4, "gru"), (4, "lstm"), (2, "gru"), (2, "lstm"),
    ]  # fmt: skip
    # one after the other, in turn: 1 and 3, 2 and 4 milliseconds for 4 steps …
    assert [r["microseconds"]["rounds"] for r in rows] == [
        pytest.approx(want) for want in ([250, 750], [500, 1000], [2500, 3500], [3000, 4000])
    ]
    assert {r["direction"] for r in rows} == {FORWARD}
    first = Workload("gru", shapes[0], FORWARD)
    assert rows[0]["gflops"] == pytest.approx(first.flops() / 2e-3 / 1e9)


def test_in_turn(monkeypatch):
    order = []
    monkeypatch.setattr(figures, "median_seconds", lambda run: order.append(run) or len(order))
    assert in_turn(["a", "b"], 3) == [[1, 3, 5], [2, 4, 6]]
    assert order == ["a", "b"] * 3
    assert in_turn([], 3) == []


def test_start_is_of_fresh_processes(tmp_path, monkeypatch):
    """Each cache is used by a cold process, then by warm ones, then gone."""
    caches, seconds = [], iter(range(1, 100))

    def fresh(workload, threads, cache):
        caches.append(cache)
        return next(seconds), 10, 100

    monkeypatch.setattr(start, "fresh", fresh)
    monkeypatch.setattr(start, "empty", lambda: 0.5)
    found, out = measured(tmp_path, "start", "--shape", SHAPE.name, "--rounds", 3)
    (row,) = found["start"]
    assert [a == b for a, b in pairwise(caches)] == [True, True, False, True, True]
    assert row["import"]["rounds"] == [2, 3, 5, 6] and row["loading"]["median"] == 10
    assert row["first_cold"]["rounds"] == [110] * 2 and row["first_cached"]["median"] == 110
    assert row["direction"] == TRAIN and row["interpreter"]["median"] == 0.5
    assert "import rnnbench" in out


@pytest.mark.slow
def test_a_real_start(tmp_path):
    """The first process fills the cache with what the second one then takes from it."""
    workload = Workload("elman_tanh", SHAPE, TRAIN)
    first = start.fresh(workload, 1, str(tmp_path))
    files = sorted(tmp_path.rglob("*.nbc"))
    again = start.fresh(workload, 1, str(tmp_path))
    assert len(files) > 2 and sorted(tmp_path.rglob("*.nbc")) == files
    assert all(0 < seconds for seconds in (*first, *again))


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ("raise ValueError('no such\\nkernel')", "failed", "kernel"),
        ("import os; os._exit(7)", "failed", "exit code 7"),
        ("print('[1.0, 1.0, 1.0, \"y is off\"]')", "disagrees", "y is off"),
    ],
)
def test_a_start_that_fails(script, status, reason, tmp_path, monkeypatch):
    monkeypatch.setattr(start, "SCRIPT", script)
    found, out = measured(tmp_path, "start", "--shape", SHAPE.name, exit_code=1)
    (row,) = found["start"]
    assert row["status"] == status and reason in row["reason"]
    assert "import" not in row and "not timed" in out


@pytest.mark.parametrize("figure", ["cells", "dtype", "threads", "time", "steps"])
@pytest.mark.parametrize("raising", [False, True])
def test_what_is_wrong_is_not_timed(figure, raising, tmp_path, monkeypatch):
    """The gru is broken, the lstm is not."""
    prepare = ours.prepare

    def spoilt(workload, threads):
        if workload.cell == "gru" and raising:
            raise ValueError("no such\nkernel")
        run, arrays = prepare(workload, threads)
        factor = 1.001 if workload.cell == "gru" else 1
        return run, lambda r: {n: a * a.dtype.type(factor) for n, a in arrays(r).items()}

    monkeypatch.setattr(ours, "prepare", spoilt)
    monkeypatch.setattr(growth, "memory_added", lambda workload, threads: None)
    monkeypatch.setattr("rnnbench.cpu.threads.available", lambda: 2)
    shapes = LENGTHS if figure == "time" else [SHAPE]
    found, out = measured(
        tmp_path, figure, "--cell", "gru", "--cell", "lstm", "--rounds", 1,
        *[a for shape in shapes for a in ("--shape", shape.name)], exit_code=1,
    )  # fmt: skip
    for row in found[figure]:
        wrong = row["cell"] == "gru"
        assert row["status"] == (("failed" if raising else "disagrees") if wrong else "timed")
        if wrong:
            assert row["reason"] == "ValueError: no such kernel" if raising else row["reason"]
            assert row.keys() <= {"cell", "shape", "direction", "threads", "status", "reason"}
    assert "not timed" in out


def test_all_figures_by_default(monkeypatch, tmp_path):
    """Each at its own cells and shapes; saved after each."""
    asked, path = {}, tmp_path / "out.json"

    def measure(name, figure, cells, shapes, threads, rounds):
        saved = json.loads(path.read_text())["figures"] if path.exists() else {}
        assert list(saved) == list(asked)
        asked[name] = list(cells), [shape.name for shape in shapes]
        return []

    monkeypatch.setattr(speed, "measure", measure)
    monkeypatch.setattr("rnnbench.cpu.threads.available", lambda: 2)
    for name, figure in FIGURES.items():
        monkeypatch.setitem(FIGURES, name, replace(figure, show=lambda console, rows: None))
    assert invoke("--json", path).exit_code == 0
    assert tuple(asked) == speed.NAMES == tuple(FIGURES)
    assert asked["cells"] == (cell_names(), ["T50B32H128", "T25B32H512"])
    three, eight = ["lstm", "gru", "elman_tanh"], 8
    assert asked["dtype"][0] == three == asked["steps"][0] and len(asked["dtype"][1]) == eight
    assert asked["threads"] == (["lstm"], asked["dtype"][1])
    assert asked["time"][1][0] == "T100B8H128" and asked["time"][1][-1] == "T10000B8H128"
    assert asked["steps"][1] == ["T100B1H64", "T100B1H256", "T100B1H512"]
    monkeypatch.setattr("rnnbench.cpu.threads.available", lambda: 1)
    asked.clear(), path.unlink()
    out = invoke("--json", path)
    assert "threads: not measured" in out.stdout and "threads" not in asked and len(asked) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cells", "--cell", "lstn"], "lstn"),
        (["cells", "--shape", "T5"], "shape is 'T5'"),
        (["steps", "--rounds", "0"], "--rounds"),
        (["steps", "--threads", "0"], "--threads"),
        (["steps", "--threads", "1000"], "may use"),
        (["threads", "--threads", "1"], "only one is to be used"),
        (["time", "--shape", "T5B3H7", "--shape", "T6B3H7"], "at least 3 lengths"),
        (["--shape", "T5B3H7"], "at least 3 lengths"),
        (["time", *(a for T in (1, 2, 3) for a in ("--shape", f"T{T}B{T}H7"))], "one B, I and H"),
        (["steps", "--json", "/no/such/folder/out.json"], "can't write"),
    ],
)
def test_bad_input_is_one_line(arguments, message, monkeypatch):
    monkeypatch.setattr(speed, "measure", lambda *_: pytest.fail("it was measured"))
    with pytest.raises(InputError, match=message) as error:
        invoke(*arguments)
    assert "\n" not in str(error.value)


def test_an_unknown_figure():
    out = invoke("speeds")
    assert out.exit_code == 2 and "'speeds' is not one of 'cells'" in out.output


def test_wide_figures_fit():
    """The longest names, seconds and quotients far from 1; above the limit is marked."""
    rows = []
    named = ("gated_antisymmetric_rnn", 9.99, 0.05), ("lstm[projection=True]", 2.0, 2.0)
    for cell, seconds, lstm in named:
        workload = Workload(cell, Shape(150, 128, 4096, 4096), TRAIN)
        base = replace(workload, cell="lstm")
        rows.append(heading(workload))
        rows[-1] |= figures.against(workload, base, [seconds, seconds * 1.1], [lstm] * 2)
    file = io.StringIO()
    show_cells(Console(file=file, width=80, highlight=False), rows)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in file.getvalue()
    (first,) = (line for line in lines if line.startswith("gated_antisymmetric_rnn "))
    assert "> 1.3" in first and "9990–10989" in first
    assert any("≤ 1.6" in line for line in lines)


def test_the_names_of_variants_are_shown_whole(tmp_path):
    cell = "lstm[projection=True]"
    for figure, end in (("cells", " "), ("steps", ", forward")):  # in a row, in a title
        arguments = "--cell", cell, "--shape", SHAPE.name, "--rounds", 1, "--threads", 1
        lines = measured(tmp_path, figure, *arguments)[1].splitlines()
        assert any(line.startswith(cell + end) for line in lines)


@pytest.mark.parametrize("us", [0.987, 1.0, 10.0, 123.0, 99999.0])
def test_titles_are_shown_whole(us):
    """However narrow the figures below them are."""
    cell = "lstm[projection=True]"
    spread = {"median": us, "low": us, "high": us}
    row = {"cell": cell, "status": "timed", "shape": {"name": "T1B1H1"}, "gflops": us}
    file = io.StringIO()
    show_steps(Console(file=file, width=80), [{**row, "microseconds": spread}])
    assert file.getvalue().startswith(f"{cell}, forward")


@pytest.mark.parametrize(
    ("measure", "key", "want"),
    [
        (figures.cells, "per_slot", 2),
        (figures.cells, "per_gate", 2 * 8 / 6),  # row blocks of lstm, gru
        (figures.dtype, "ratio", 2 / 20),
        (figures.threads, "speedup", 2 / 0.5),
    ],
)
def test_what_is_divided_by_what(measure, key, want, monkeypatch):
    """The gru takes 2 seconds, the lstm one; float64 tenfold; four threads a quarter."""

    def checked(workload, threads):
        seconds = 2 if workload.cell == "gru" else 1
        many = measure is figures.threads and threads == 4
        return lambda: seconds * (10 if isinstance(workload, Wide) else 1) / (4 if many else 1)

    monkeypatch.setattr(figures, "checked", checked)
    monkeypatch.setattr(figures, "median_seconds", lambda run: run())
    for row in measure(["gru"], [SHAPE], 4, 3, print):
        assert row[key]["rounds"] == pytest.approx([want] * 3)


def test_the_judgement_is_of_the_timed_call():
    """What ``checked`` returns is the call whose result was compared."""
    run = figures.checked(Workload("lstm", SHAPE, FORWARD), 1)
    assert median_seconds(run) > 0
