"""What breaks during a comparison, or was asked for in vain, and what is said about it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from rnnbench import cell_names
from rnnbench.commands.compare import command
from rnnbench.cpu.threads import available
from rnnbench.errors import InputError, MissingDependency
from rnnbench.peers import OURS, PEERS, choose_peers, rounds, sgemm
from rnnbench.peers.process import PeerError
from rnnbench.shapes import TINY

CELL, SHAPE = cell_names()[0], TINY[0].name
QUICK = ("--cell", CELL, "--shape", SHAPE, "--direction", "forward", "--rounds", "3")


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """Makes a module the only peer beside ours, or takes the place of ours."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in PEERS if n != OURS]:
        monkeypatch.delitem(PEERS, name)

    def add(name, source):
        module = f"peer_of_failures_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{module}.py").write_text(source)
        monkeypatch.setitem(PEERS, name, module)

    return add


WRONG = """
from rnnbench.peers import ours
from rnnbench.peers.ours import offers, version

def prepare(workload, threads):
    run, arrays = ours.prepare(workload, threads)
    return run, lambda result: {n: 1.001 * a for n, a in arrays(result).items()}
"""


def invoke(*arguments):
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_no_cell_in_common():
    pytest.importorskip("onnxruntime")
    wanted = ("--direction", "train", "--shape", SHAPE)
    with pytest.raises(InputError, match="^nothing to compare: .*onnxruntime.* train$"):
        invoke("--peer", "onnxruntime", *wanted)


@pytest.mark.parametrize("dying", [1, 99])
def test_sgemm_may_die(peer, monkeypatch, tmp_path, dying):
    """In one round: the others count. In all: the rest is shown and saved."""
    right, calls = rounds.PeerProcess.time, []

    def time_it(self):
        if self.module == rounds.SGEMM:
            calls.append(self)
            if len(calls) <= dying:
                self.close()
                raise PeerError("its process ended with exit code -9")
        return right(self)

    monkeypatch.setattr(rounds.PeerProcess, "time", time_it)
    path = tmp_path / "out.json"
    out = invoke(*QUICK, "--json", str(path))
    assert out.exit_code == 0 and len(calls) == 3
    assert "SGEMM failed: its process ended" in " ".join(out.output.split())
    assert "nan" not in out.output
    found = json.loads(path.read_text())["results"][0]
    assert len(found["peers"][OURS]["rounds"]) == 3 and "-9" in found["sgemm_failure"]
    share = found["peers"][OURS]["sgemm_share"]
    if dying == 1:
        assert found["sgemm_gflops"] > 0 and share > 0
    else:
        assert found["sgemm_gflops"] is None and share is None


@pytest.mark.parametrize("error", ["OSError('libc10.so:\\n no')", "ImportError('libc10.so: no')"])
def test_a_broken_peer_costs_a_line(peer, error):
    peer("broken", f"def version():\n    raise {error}\n")
    lines = []
    assert choose_peers(report=lines.append).keys() == {OURS}
    assert len(lines) == 1 and "\n" not in lines[0]
    assert lines[0].startswith("broken can't be imported (") and "libc10.so: no" in lines[0]
    with pytest.raises(InputError, match=r"^broken can't be imported \(.*libc10\.so: no\)"):
        choose_peers(["broken"])
    assert "broken can't be imported" in " ".join(invoke(*QUICK).output.split())


def test_a_peer_that_is_not_installed_costs_none(peer):
    peer("missing", "def version():\n    import no_such_framework\n")
    lines = []
    assert choose_peers(report=lines.append).keys() == {OURS} and not lines
    with pytest.raises(MissingDependency):
        choose_peers(["missing"])


def test_sgemm_is_numpys_where_torch_is_broken(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise OSError('libc10.so: no')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    getattr(sgemm.source, "cache_clear", int)()
    try:
        assert sgemm.source() == "NumPy"
        sgemm.prepare(threads=1)()
    finally:
        getattr(sgemm.source, "cache_clear", int)()


def test_exit_code_tells_that_we_are_wrong(peer, tmp_path):
    peer("wrong", WRONG)
    out = invoke(*QUICK)  # a peer
    assert out.exit_code == 0 and "wrong disagrees, not timed" in out.output
    peer(OURS, WRONG)
    path = tmp_path / "out.json"
    out = invoke(*QUICK, "--json", str(path))
    assert out.exit_code == 1 and f"{OURS} disagrees, not timed" in out.output
    assert json.loads(path.read_text())["results"][0]["peers"][OURS]["status"] == "disagrees"
    peer(OURS, WRONG.replace("run, arrays = ", "raise ValueError('no'); "))
    assert invoke(*QUICK).exit_code == 1
    assert "Exit code 1" in invoke("--help").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", str(available() + 1)), f"--threads is .* 1 to {available()} processors"),
        (("--set", ""), "unknown set of shapes ''; allowed: small"),
        (("--set", "", "--shape", SHAPE), "both --shape and --set"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        invoke("--cell", CELL, *arguments)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a process group")
@pytest.mark.parametrize("delay", [0.1, 1.0, 4.0])
def test_ctrl_c_is_one_line(delay):
    """While a peer's process starts, is being imported, runs: it has nothing to say itself."""
    code = "from rnnbench.cli import run; run()"
    arguments = ("compare", "--cell", CELL, "--set", "tiny", "--rounds", "999")
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()  # the head: next the processes are started
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "rnnbench: interrupted"
    assert "Traceback" not in errors and "Error" not in errors
