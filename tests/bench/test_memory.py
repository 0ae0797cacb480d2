"""Memory: known allocations are found, freed ones hide nothing, no means give no figure."""

import sys

import pytest

from rnnbench.peers import OURS, rounds
from rnnbench.peers import memory as module
from rnnbench.peers.memory import memory, settled
from rnnbench.peers.process import PeerError, PeerProcess
from rnnbench.peers.rounds import Comparison
from rnnbench.peers.show import as_json
from rnnbench.peers.workload import FORWARD, Workload
from rnnbench.shapes import TINY, get_shape

WORKLOAD = Workload("gru", get_shape("T5B3H64"), FORWARD)
MB = 1_000_000
# prepared: 30 MB. A call: 20 MB freed before 50 MB are made, of which 10 MB are its result. The
# tiny shape's run frees 40 MB that the C library keeps: after 30 MB in one piece it gives less
# back, and it keeps a thread's memory apart.
STAND_IN = """
import numpy as np
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(1)

def made(megabytes):
    return [np.ones(100_000, np.uint8) for _ in range(10 * megabytes)]

def blocks(megabytes):
    return pool.submit(made, megabytes).result()

def tiny():
    np.ones(30_000_000, np.uint8)
    made(40)

def prepare(workload, threads):
    if workload.shape.H < 64:
        return lambda: pool.submit(tiny).result(), None
    inputs = blocks(30)

    def run():
        first = blocks(20)
        del first
        scratch, result = blocks(40), blocks(10)
        return result

    return run, lambda result: inputs
"""


@pytest.fixture
def process(tmp_path, monkeypatch):
    (tmp_path / "peer_allocating.py").write_text(STAND_IN)
    (tmp_path / "peer_raising.py").write_text("def prepare(*a): raise ValueError('none')")
    monkeypatch.syspath_prepend(tmp_path)
    started = []

    def start(name):
        started.append(PeerProcess(f"peer_{name}", threads=1))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no peak")
def test_known_allocations(process):
    found = process("allocating").memory(WORKLOAD)
    assert found.keys() == {"memory", "memory_prepared"}
    assert found["memory"] == pytest.approx(50 * MB, abs=2 * MB)
    assert found["memory_prepared"] == pytest.approx(30 * MB, abs=2 * MB)


def test_a_peer_that_raises(process):
    with pytest.raises(PeerError, match="ValueError: none"):
        process("raising").memory(WORKLOAD)


def test_where_the_system_keeps_no_peak(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RESET", tmp_path / "missing" / "clear_refs")
    assert settled() is None
    assert memory(lambda workload, threads: (lambda: None, None), WORKLOAD, 1) is None


def test_the_tiny_shape_comes_first():
    shapes = []

    def prepare(workload, threads):
        return lambda: shapes.append(workload.shape), None

    memory(prepare, WORKLOAD, threads=1)
    assert shapes[0] == TINY[0] and shapes[1:] in ([], [WORKLOAD.shape])


def test_each_measured_in_a_process_of_its_own(monkeypatch):
    """After all rounds; one that fails has no figure, and its times stay."""
    seen = []

    class Fake:
        def __init__(self, module, threads):
            self.module, self.process = module, "running"

        def prepare(self, workload):
            return {}

        def time(self):
            seen.append("time")
            return 1.0

        def memory(self, workload):
            seen.append(self)
            if "torch" in self.module:
                raise PeerError("killed")
            return {"memory": 5, "memory_prepared": 7} if "ours" in self.module else None

        def close(self):
            seen.append("close")

    monkeypatch.setattr(rounds, "PAUSE", 0)
    monkeypatch.setattr(rounds, "PeerProcess", Fake)
    monkeypatch.setattr(Workload, "disagreement", lambda self, arrays: "")
    comparison = Comparison([OURS, "torch", "jax"], threads=1, rounds=1, memory=True)
    result = comparison.run(WORKLOAD)
    fresh = [one for one in seen if isinstance(one, Fake)]
    assert seen == ["time"] * 4 + [part for one in fresh for part in (one, "close")]
    assert len(fresh) == 3 and not set(fresh) & set(comparison.processes.values())
    (saved,) = as_json({}, [result])["results"]
    figures = {n: (p["memory"], p["memory_prepared"]) for n, p in saved["peers"].items()}
    assert figures == {OURS: (5, 7), "torch": (None, None), "jax": (None, None)}
    assert all(p["status"] == "timed" for p in saved["peers"].values())
