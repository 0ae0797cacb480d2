"""The comparison: what it accepts, what it refuses to time, and what it reports.

Stand-ins for other frameworks are modules written to a temporary folder.
"""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from rnnbench import cell_names, get_cell
from rnnbench.cli import run as entry_point
from rnnbench.commands.compare import command
from rnnbench.errors import InputError, MissingDependency
from rnnbench.peers import OURS, PEERS, choose_peers, load_peer, ours
from rnnbench.peers.rounds import Comparison, Result, Timing, geometric_means
from rnnbench.peers.workload import DIRECTIONS, FORWARD, TRAIN, Workload
from rnnbench.shapes import TINY

CELL, SHAPE = cell_names()[-1], TINY[0]

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
@pytest.mark.parametrize("cell", cell_names())
def test_our_kernels_agree_and_mistakes_do_not(cell, direction):
    workload = Workload(cell, SHAPE, direction)
    run, arrays = ours.prepare(workload, threads=1)
    found = arrays(run())
    assert workload.disagreement(found) == ""
    assert set(found) >= set(workload.expected())
    for name, array in workload.expected().items():
        for bad in (array * 1.001, np.where(array == array.max(), np.nan, array), array[:-1]):
            assert name in workload.disagreement(found | {name: bad})
        assert name in workload.disagreement({n: a for n, a in found.items() if n != name})


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("peer", ["torch", "onnxruntime"])
def test_real_peers_agree(peer, direction):
    pytest.importorskip(peer)
    offered = [c for c in cell_names() if load_peer(peer).offers(c, direction)]
    assert offered or direction == TRAIN
    for cell in offered:
        workload = Workload(cell, SHAPE, direction)
        run, arrays = load_peer(peer).prepare(workload, threads=1)
        assert workload.disagreement(arrays(run())) == "", cell


def test_flops_are_those_of_the_matrices():
    T, B, inputs, H = SHAPE
    for cell in cell_names():
        gates = len(get_cell(cell).spec.gates)
        forward = 2 * T * B * gates * H * (inputs + H)
        assert Workload(cell, SHAPE, FORWARD).flops() == forward
        assert Workload(cell, SHAPE, TRAIN).flops() == 3 * forward


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
        *("--rounds", "2", "--threads", "1", "--json", str(path)),
    )
    assert out.exit_code == 0
    assert max(map(len, out.output.splitlines())) <= 80
    assert "wrong disagrees, not timed" in out.output and "geometric mean" in out.output
    data = json.loads(path.read_text())
    assert {"machine", "threads", "rounds", "load", "sgemm_source", "flops"} < set(data)
    assert data["peers"].keys() == {"rnnbench", "right", "wrong"} and data["threads"] == 1
    assert [r["direction"] for r in data["results"]] == list(DIRECTIONS)
    forward = data["results"][0]
    assert forward["shape"] == {"name": SHAPE.name, **SHAPE._asdict()}
    assert forward["peers"]["wrong"].keys() == {"status", "reason"}
    right = forward["peers"]["right"]
    assert len(right["rounds"]) == 2 and right["low"] <= right["seconds"] <= right["high"]
    assert right["gflops"] == pytest.approx(forward["flops"] / right["seconds"] / 1e9)
    assert right["sgemm_share"] == pytest.approx(right["gflops"] / forward["sgemm_gflops"])
    assert forward["speedup"] == pytest.approx(
        right["seconds"] / forward["peers"]["rnnbench"]["seconds"]
    )


def test_without_any_peer(stand_ins, monkeypatch):
    for name in SPOILS:
        monkeypatch.delitem(PEERS, name)
    out = invoke("--cell", CELL, "--set", "tiny", "--direction", "train", "--rounds", "1")
    assert out.exit_code == 0
    assert "no peer is installed" in " ".join(out.output.split())
    assert "fastest peer" not in out.output and "SGEMM" in out.output


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
    monkeypatch.setattr(Comparison, "__enter__", lambda self: self)
    monkeypatch.setattr(Comparison, "__exit__", lambda self, *_: None)
    out = invoke("--cell", CELL, "--shape", SHAPE.name, "--direction", "forward")
    assert out.exit_code == 1
    assert "disagrees" in out.output
