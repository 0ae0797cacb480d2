"""The comparison: what it accepts, what it refuses to time, and what it reports.

Stand-ins for other frameworks are modules written to a temporary folder.
"""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from rnnbench import cell_names, get_cell, get_target
from rnnbench.cells import get_definition
from rnnbench.cli import run as entry_point
from rnnbench.commands.compare import command
from rnnbench.conformance.features import representatives
from rnnbench.errors import InputError, MissingDependency
from rnnbench.peers import OURS, PEERS, choose_peers, load_peer, ours
from rnnbench.peers.process import PeerProcess
from rnnbench.peers.rounds import SGEMM, Comparison, Result, Timing, geometric_means
from rnnbench.peers.workload import DIRECTIONS, FORWARD, TRAIN, Workload, named
from rnnbench.shapes import TINY

CELL, SHAPE = representatives()[0], TINY[0]
VARIANTS = ["lstm[projection=True]", "sru[input_projection=False]", "gru[zoneout=True,biases=2]"]

STAND_IN = """
import os
from rnnbench.peers import ours

def version():
    return "1.2"

def offers(cell, direction):
    return True

def prepare(workload, threads):
    run, arrays = ours.prepare(workload, threads)
    def spoiled(result):
        found = arrays(result)
        {spoil}
        return found
    return run, spoiled
"""
# a cell with options, to be named with them
OPTIONED = next(n for n in cell_names() if "biases" in {o.name for o in get_definition(n).options})
SPOILS = {
    "right": "pass",
    "wrong": "found['y'] = found['y'] * 1.001",
    "raising": "raise ValueError('no such\\n kernel')",
    "dying": "os._exit(7)",
}


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Peers called right, wrong, raising, dying, in place of the real ones."""
    for name, spoil in SPOILS.items():
        (tmp_path / f"peer_{name}.py").write_text(STAND_IN.format(spoil=spoil))
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in PEERS if n != "rnnbench"]:
        monkeypatch.delitem(PEERS, name)
    for name in SPOILS:
        monkeypatch.setitem(PEERS, name, f"peer_{name}")


def invoke(*arguments):
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cell", representatives())
def test_our_kernels_agree_and_mistakes_do_not(cell, direction):
    workload = Workload(cell, SHAPE, direction)
    run, arrays = ours.prepare(workload, threads=1)
    found = arrays(run())
    assert workload.disagreement(found) == ""
    assert set(found) >= set(workload.expected())
    for name, array in workload.expected().items():
        spoilt = np.where(array == array.max(), np.nan, array)
        for bad in (array * 1.001 + 1e-3, spoilt, array[None]):
            assert name in workload.disagreement(found | {name: bad})
        assert name in workload.disagreement({n: a for n, a in found.items() if n != name})


@pytest.mark.parametrize("cell", [*cell_names(), *VARIANTS])
def test_every_cell_agrees_in_float32(cell):
    """Without a compiler: the workload's data, its judgement and the names of its arrays."""
    workload, plain = Workload(cell, SHAPE, TRAIN), get_target("plain")
    case = workload.case()
    run = plain.forward(*case.forward_arguments())
    found = named(run, plain.backward(run.tape, case.dy))
    assert workload.disagreement(found) == ""
    assert set(found) == set(workload.expected())


def test_flops_are_those_of_the_matrices():
    T, B, inputs, H = SHAPE
    for cell, elements in {
        "lstm": 4 * H * (inputs + H),
        "gru": 3 * H * (inputs + H),
        "indrnn": H * inputs,
        "lstm[projection=True]": 4 * H * (inputs + 4) + 4 * H,  # P = 4
        "sru[input_projection=False]": 3 * H * H,  # I = H
    }.items():
        assert Workload(cell, SHAPE, FORWARD).flops() == 2 * T * B * elements
        assert Workload(cell, SHAPE, TRAIN).flops() == 6 * T * B * elements
    for cell in cell_names():
        shapes = get_cell(cell).spec.parameter_shapes(inputs, H)
        matrices = [p.name for p in get_cell(cell).spec.parameters if p.kind == "matrix"]
        elements = sum(math.prod(shapes[name]) for name in matrices)
        assert Workload(cell, SHAPE, FORWARD).flops() == 2 * T * B * elements > 0


def test_a_cell_that_adds_x_itself_runs_with_equal_widths():
    workload = Workload("sru[input_projection=False]", SHAPE, TRAIN)
    assert workload.shape == SHAPE._replace(I=SHAPE.H)
    assert workload.case().x.shape == (SHAPE.T, SHAPE.B, SHAPE.H)


def test_a_dead_sgemm_process_is_started_anew():
    """Its rate is that of the rounds that it lived through."""
    with Comparison(["rnnbench"], threads=1, rounds=3) as comparison:
        prepare, times = comparison.sgemm.prepare, []
        comparison.sgemm.prepare = lambda work: times.append("prepare") or prepare(work)
        time = comparison.sgemm.time

        def dying():
            times.append("time")
            if times == ["time"]:
                comparison.sgemm.process.kill()
            return time()

        comparison.sgemm.time = dying
        result = comparison.run(Workload(CELL, SHAPE, FORWARD))
    assert times == ["time", "prepare", "time", "time"]
    assert result.sgemm > 0 and len(result.timings["rnnbench"].seconds) == 3


@pytest.mark.parametrize("broken", ["", "raise OSError('libtorch.so: cannot open')"])
def test_the_sgemm_rate_without_a_working_torch(broken, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text(broken or "raise ImportError('no torch')")
    monkeypatch.syspath_prepend(tmp_path)  # spawned processes inherit it
    process = PeerProcess(SGEMM, threads=1)
    try:
        assert process.prepare(None) == "NumPy"
        assert process.time() > 0
    finally:
        process.close()


def test_only_what_agrees_is_timed(stand_ins):
    workload = Workload(CELL, SHAPE, FORWARD)
    with Comparison(["rnnbench", *SPOILS], threads=1, rounds=1) as comparison:
        for _ in range(2):  # a process that ended is started anew
            result = comparison.run(workload)
            status = {name: t.status for name, t in result.timings.items()}
            assert status == {
                "rnnbench": "timed",
                "right": "timed",
                "wrong": "disagrees",
                "raising": "failed",
                "dying": "failed",
            }
    assert result.fastest_peer() == "right" and result.sgemm > 0
    assert result.timings["raising"].reason == "ValueError: no such kernel"
    assert "exit code 7" in result.timings["dying"].reason
    assert "y is off" in result.timings["wrong"].reason
    assert [name for name, t in result.timings.items() if t.seconds] == ["rnnbench", "right"]
    means = geometric_means([result])
    assert [(m["direction"], m["cell"], m["shapes"]) for m in means] == [
        (FORWARD, "", 1),
        (FORWARD, CELL, 1),
    ]


def test_json_and_tables(stand_ins, tmp_path):
    path = tmp_path / "out.json"
    out = invoke(
        *("--cell", CELL, "--shape", SHAPE.name, "--peer", "right", "--peer", "wrong"),
        *("--rounds", "2", "--threads", "1", "--json", str(path), "--no-memory"),
    )
    assert out.exit_code == 0
    assert max(map(len, out.output.splitlines())) <= 80
    assert "MB" not in out.output and "µs per" not in out.output
    assert "wrong disagrees, not timed" in out.output and "geometric mean" in out.output
    data = json.loads(path.read_text())
    assert {"machine", "threads", "rounds", "load", "sgemm_source", "flops"} < set(data)
    assert data["peers"].keys() == {"rnnbench", "right", "wrong"} and data["threads"] == 1
    assert [r["direction"] for r in data["results"]] == list(DIRECTIONS)
    forward = data["results"][0]
    assert forward["shape"] == {"name": SHAPE.name, **SHAPE._asdict()}
    assert forward["peers"]["wrong"].keys() == {"status", "reason"}
    right = forward["peers"]["right"]
    assert right["memory"] is None and right["memory_prepared"] is None
    assert len(right["rounds"]) == 2 and right["low"] <= right["seconds"] <= right["high"]
    assert right["gflops"] == pytest.approx(forward["flops"] / right["seconds"] / 1e9)
    assert right["sgemm_share"] == pytest.approx(right["gflops"] / forward["sgemm_gflops"])
    assert forward["speedup"] == pytest.approx(
        right["seconds"] / forward["peers"]["rnnbench"]["seconds"]
    )


def test_without_any_peer(stand_ins, monkeypatch):
    for name in SPOILS:
        monkeypatch.delitem(PEERS, name)
    out = invoke(
        *("--cell", CELL, "--set", "tiny", "--direction", "train", "--rounds", "1", "--no-memory")
    )
    assert out.exit_code == 0
    assert "µs per" in out.output  # one of the tiny shapes has one sequence
    assert "no peer is installed" in " ".join(out.output.split())
    assert "fastest peer" not in out.output and "SGEMM" in out.output


def test_a_cell_that_no_peer_has_is_timed_all_the_same(stand_ins, tmp_path, monkeypatch):
    monkeypatch.setattr(load_peer("right"), "offers", lambda cell, direction: False)
    path, name = tmp_path / "out.json", f"{OPTIONED}[biases=2]"
    out = invoke(
        *("--cell", name, "--cell", name.replace("=2", "=02")),
        *("--shape", SHAPE.name, "--peer", "right"),
        *("--direction", "forward", "--rounds", "1", "--json", str(path), "--no-memory"),
    )
    assert out.exit_code == 0
    assert f"{name}, forward" in out.output and "fastest peer" not in out.output
    (result,) = json.loads(path.read_text())["results"]
    assert result["cell"] == name and result["peers"].keys() == {"rnnbench"}
    assert result["speedup"] is None


def test_the_default_is_what_peers_have_installed_or_not(monkeypatch):
    chosen = []

    def measure(console, comparison, pairs, shapes, save):
        chosen.append(pairs)
        return []

    monkeypatch.setattr("rnnbench.commands.compare.measure", measure)
    monkeypatch.setattr(PeerProcess, "prepare", lambda self, workload: "whose")
    missing = {OURS: "1"}
    monkeypatch.setattr("rnnbench.peers.choose_peers", lambda asked: missing)
    assert invoke("--direction", "train").exit_code == 0
    assert [d for _, d in chosen[0]] == ["train"] * len(chosen[0])
    cells = [c for c, _ in chosen[0]]
    assert {"elman_tanh", "gru", "lstm"} <= set(cells) and len(cells) < len(cell_names()) / 2
    missing["jax"] = "1"  # it has every cell
    assert invoke("--direction", "train").exit_code == 0
    assert chosen[1] == chosen[0]
    missing["onnxruntime"] = "1"  # forward only, but jax does train its cells
    assert invoke().exit_code == 0
    layers = [c for c in cell_names() if load_peer("onnxruntime").offers(c, FORWARD)]
    assert chosen[2] == [(c, d) for c in layers for d in DIRECTIONS]
    del missing["jax"]
    assert invoke().exit_code == 0
    assert chosen[3] == [(c, FORWARD) for c in layers]


def test_a_missing_peer_is_left_out_unless_asked_for(stand_ins, tmp_path, monkeypatch):
    (tmp_path / "peer_missing.py").write_text("def version():\n    import no_such_framework\n")
    monkeypatch.setitem(PEERS, "missing", "peer_missing")
    assert choose_peers(["right"]).keys() == {"rnnbench", "right"}
    assert choose_peers() == choose_peers(SPOILS)
    with pytest.raises(MissingDependency, match="missing can't be imported"):
        choose_peers(["missing"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cell", "lstn"),
        ("--shape", "T5"),
        ("--set", "huge"),
        ("--shape", "T5B3I4H7", "--set", "tiny"),
        ("--peer", "tensorflaw"),
        ("--rounds", "0"),
        ("--threads", "0"),
        ("--json", "/no/such/folder/out.json"),
        ("--plot", "picture.jpg"),
        ("--from", "/no/such/file.json", "--plot", "picture.svg"),
    ],
)
def test_bad_input_is_one_line(arguments, monkeypatch, capsys):
    with pytest.raises(InputError) as error:
        invoke(*arguments)
    assert "\n" not in str(error.value)
    monkeypatch.setattr("sys.argv", ["rnnbench", "compare", *arguments])
    with pytest.raises(SystemExit) as exit:
        entry_point()
    assert exit.value.code == 2
    assert capsys.readouterr().err == f"rnnbench: {error.value}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "1000"], "--threads is 1000; this process may use"),
        (["--set", ""], "unknown set of shapes ''"),
        (["--peer", "onnxruntime", "--direction", "train"], "nothing to compare: onnxruntime"),
    ],
)
def test_what_can_not_be_compared_is_refused(arguments, message, monkeypatch):
    monkeypatch.setattr("rnnbench.peers.onnxruntime.version", lambda: "0")
    with pytest.raises(InputError, match=message):
        invoke("--shape", SHAPE.name, *arguments) if "--set" not in arguments else invoke(
            *arguments
        )


def test_a_broken_peer_is_left_out_unless_asked_for(monkeypatch):
    def broken():
        raise OSError("libtorch.so: cannot open")

    monkeypatch.setattr("rnnbench.peers.torch.version", broken)
    assert "torch" not in choose_peers()
    with pytest.raises(InputError, match=r"torch can't be imported .*libtorch\.so"):
        choose_peers(["torch"])


def test_our_own_mistake_is_exit_code_1(monkeypatch):
    def run(self, workload, report=print):
        result = Result(workload, {OURS: Timing()})
        result.timings[OURS].stop("disagrees", "y is off")
        return result

    monkeypatch.setattr(Comparison, "run", run)
    monkeypatch.setattr(Comparison, "sgemm_source", "whose", raising=False)
    monkeypatch.setattr(Comparison, "__enter__", lambda self: self)
    monkeypatch.setattr(Comparison, "__exit__", lambda self, *_: None)
    out = invoke("--cell", CELL, "--shape", SHAPE.name, "--direction", "forward")
    assert out.exit_code == 1
    assert "disagrees" in out.output
