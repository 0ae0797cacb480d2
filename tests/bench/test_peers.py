"""Fair conditions: the order of the rounds, the number of threads, the mean of the ratios."""

import os

import pytest

from rnnbench import cell_names, get_target
from rnnbench.conformance.features import representatives
from rnnbench.peers import OURS, PEERS, load_peer, ours, rounds, sgemm
from rnnbench.peers.process import VARIABLES, PeerProcess
from rnnbench.peers.rounds import Comparison, Result, Timing, geometric_means
from rnnbench.peers.workload import DIRECTIONS, FORWARD, TRAIN, Workload
from rnnbench.shapes import TINY

CELL, SHAPE = representatives()[0], TINY[0]
THREADS = 3

SETTINGS = """
import os

def prepare(workload, threads):
    return lambda: None, lambda _: {"threads": threads, "environment": dict(os.environ)}
"""


def test_peers_take_turns_in_going_first(monkeypatch):
    order = []

    class Fake:
        process = "running"

        def __init__(self, name):
            self.name = name

        def prepare(self, workload):
            return {}

        def time(self):
            order.append(self.name)
            return 1.0

    names = [OURS, *(n for n in PEERS if n != OURS)]
    monkeypatch.setattr(rounds, "PAUSE", 0)
    monkeypatch.setattr(Workload, "disagreement", lambda self, arrays: "")
    for name in names:
        monkeypatch.setattr(load_peer(name), "offers", lambda cell, direction: True)
    comparison = Comparison(names, threads=1, rounds=4)
    comparison.processes = {name: Fake(name) for name in names}
    comparison.sgemm = Fake("SGEMM")
    result = comparison.run(Workload(CELL, SHAPE, FORWARD))
    turns = [names[k:] + names[:k] for k in range(4)]
    assert order == [name for turn in turns for name in (*turn, "SGEMM")]
    assert all(t.seconds == [1.0] * 4 for t in result.timings.values())


def test_threads_reach_the_process(tmp_path, monkeypatch):
    (tmp_path / "peer_settings.py").write_text(SETTINGS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(VARIABLES[0], raising=False)
    monkeypatch.setenv(VARIABLES[1], "17")
    process = PeerProcess("peer_settings", THREADS)
    try:
        found = process.prepare(Workload(CELL, SHAPE, FORWARD))
    finally:
        process.close()
    assert found["threads"] == THREADS
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PJRT_NPROC", "NPROC")
    assert {n: found["environment"].get(n) for n in names} == dict.fromkeys(names, str(THREADS))
    assert VARIABLES[0] not in os.environ and os.environ[VARIABLES[1]] == "17"  # put back


def test_every_process_of_a_comparison_gets_the_threads():
    comparison = Comparison(PEERS, THREADS, rounds=1)
    processes = (*comparison.processes.values(), comparison.sgemm)
    assert [p.threads for p in processes] == [THREADS] * (len(PEERS) + 1)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_our_threads(monkeypatch, direction):
    asked, right = [], get_target

    def recorded(name, threads=None):
        asked.append((name, threads))
        return right(name, threads=1)

    monkeypatch.setattr("rnnbench.target.get_target", recorded)
    ours.prepare(Workload(CELL, SHAPE, direction), THREADS)
    assert asked == [("cpu", THREADS)]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_torch_threads(monkeypatch, direction):
    torch = pytest.importorskip("torch")
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    peer = load_peer("torch")
    cell = next(c for c in cell_names() if peer.offers(c, direction))
    peer.prepare(Workload(cell, SHAPE, direction), THREADS)
    assert asked == [THREADS]
    sgemm.prepare(THREADS + 1)
    assert asked == [THREADS, THREADS + 1]
    sgemm.prepare(None)  # the library's default
    assert len(asked) == 2


def test_onnxruntime_threads(monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime")
    asked = []

    def session(model, options, providers):
        asked.append((options.intra_op_num_threads, options.inter_op_num_threads, providers))

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    peer = load_peer("onnxruntime")
    cell = next(c for c in cell_names() if peer.offers(c, FORWARD))
    peer.prepare(Workload(cell, SHAPE, FORWARD), THREADS)
    assert asked == [(THREADS, 1, ["CPUExecutionProvider"])]


def test_openvino_settings(monkeypatch):
    """Threads; and float32, where it would choose bfloat16 by itself."""
    openvino = pytest.importorskip("openvino")
    asked, right = [], openvino.Core.compile_model

    def recorded(self, model, device, settings):
        asked.append((device, settings))
        compiled = right(self, model, device, settings)
        assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
        return compiled

    monkeypatch.setattr(openvino.Core, "compile_model", recorded)
    load_peer("openvino").prepare(Workload("lstm", SHAPE, FORWARD), THREADS)
    ((device, settings),) = asked
    assert device == "CPU" and settings["INFERENCE_NUM_THREADS"] == THREADS
    assert settings["NUM_STREAMS"] == "1" and settings["PERFORMANCE_HINT"] == "LATENCY"


def test_the_mean_of_ratios_is_geometric():
    def result(cell, direction, ours, **others):
        timings = {OURS: ours} | others
        return Result(
            Workload(cell, SHAPE, direction),
            {name: Timing(seconds=[s]) for name, s in timings.items()},
            sgemm=1.0,
        )

    one, two = cell_names()[:2]
    means = geometric_means(
        [
            result(one, FORWARD, 1.0, torch=0.5, onnxruntime=7.0),
            result(one, FORWARD, 1.0, torch=9.0, onnxruntime=8.0),
            result(two, FORWARD, 2.0, torch=32.0),
            result(two, TRAIN, 2.0, torch=3.0),
            result(two, TRAIN, 2.0),  # alone: no ratio
        ]
    )
    one_forward = next(m for m in means if m["cell"] == one)
    assert one_forward["at_least_as_fast"] == 1
    assert one_forward["worst"] == {
        "speedup": 0.5,
        "cell": one,
        "shape": SHAPE.name,
        "fastest_peer": "torch",
    }
    found = {(m["direction"], m["cell"]): (m["shapes"], m["speedup"]) for m in means}
    assert found == {
        (FORWARD, ""): (3, pytest.approx(4.0)),
        (FORWARD, one): (2, pytest.approx(2.0)),
        (FORWARD, two): (1, pytest.approx(16.0)),
        (TRAIN, ""): (1, pytest.approx(1.5)),
        (TRAIN, two): (1, pytest.approx(1.5)),
    }
