"""The peers themselves, where their frameworks are installed."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from rnnbench import cell_names
from rnnbench.conformance.variants import representative_variants
from rnnbench.peers import ANY_CELL, OURS, PEERS, load_peer
from rnnbench.peers.process import PeerProcess
from rnnbench.peers.workload import DIRECTIONS, FORWARD, Workload
from rnnbench.shapes import TINY

OTHERS = [name for name in PEERS if name != OURS]
FORWARD_ONLY = ("onnxruntime", "openvino")
PROJECTION = "lstm[projection=True]"
LAYERS = {"elman_tanh", "elman_relu", "gru", "lstm"}
PAIRS = [(p, d) for p in OTHERS for d in DIRECTIONS if d == FORWARD or p not in FORWARD_ONLY]


def disagreement(peer, workload):
    run, arrays = load_peer(peer).prepare(workload, threads=1)
    return workload.disagreement(arrays(run()))


def test_what_is_offered():
    """Without importing any framework."""
    for peer in OTHERS:
        for direction in DIRECTIONS:
            cells = {c for c in cell_names() if load_peer(peer).offers(c, direction)}
            if (peer, direction) not in PAIRS:
                assert not cells
            elif peer in ANY_CELL:
                assert cells == set(cell_names())
            else:
                assert LAYERS <= cells and len(cells) < 12
            has = load_peer(peer).offers(PROJECTION, direction)
            assert has == (peer in ("torch", *ANY_CELL))


@pytest.mark.parametrize(("peer", "direction"), PAIRS)
@pytest.mark.parametrize("shape", TINY, ids=lambda shape: shape.name)
def test_they_agree_with_the_reference(peer, direction, shape):
    pytest.importorskip(peer)
    cells = sorted(LAYERS) if peer in ANY_CELL else cell_names()
    variants = [PROJECTION, "gru[biases=0]", "gru[biases=2]", "lstm[biases=0]"]
    for cell in [*cells, *variants]:
        if load_peer(peer).offers(cell, direction):
            assert disagreement(peer, Workload(cell, shape, direction)) == "", cell


@pytest.mark.slow
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_jax_runs_every_cell(direction):
    pytest.importorskip("jax")
    for cell in [*cell_names(), *representative_variants()]:
        assert disagreement("jax", Workload(cell, TINY[0], direction)) == "", cell


@pytest.mark.parametrize(("peer", "direction"), PAIRS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("name", ["W", "R", "b"])
def test_swapped_gates_are_caught(peer, direction, cell, name, monkeypatch):
    """The first two gates of one parameter change places in what the peer is given."""
    pytest.importorskip(peer)
    workload, right = Workload(cell, TINY[0], direction), Workload.case

    def swapped(self):
        case = right(self)
        first, second, *rest = np.split(case.params[name], len(case.params[name]) // self.shape.H)
        params = case.params | {name: np.concatenate([second, first, *rest])}
        return replace(case, params=params)

    with monkeypatch.context() as patch:  # the judge gets the right ones
        patch.setattr(Workload, "case", swapped)
        run, arrays = load_peer(peer).prepare(workload, threads=1)
    assert " is off by " in workload.disagreement(arrays(run()))


@pytest.mark.parametrize(("peer", "direction"), PAIRS)
def test_a_second_call_gives_the_same(peer, direction):
    """Some write to the same arrays at every call."""
    pytest.importorskip(peer)
    run, arrays = load_peer(peer).prepare(Workload("lstm", TINY[0], direction), threads=1)
    first, second = arrays(run()), arrays(run())
    assert first.keys() == second.keys()
    assert all(np.array_equal(a, second[name]) for name, a in first.items())


COUNTING = """
import os
from rnnbench.peers import jax

def prepare(workload, threads):
    run, arrays = jax.prepare(workload, threads)
    return run, lambda result: {"threads": len(os.listdir("/proc/self/task"))}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_jax_threads(tmp_path, monkeypatch):
    """Its pool is as large as the environment of its process says."""
    pytest.importorskip("jax")
    (tmp_path / "peer_counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(tmp_path)
    counts = []
    for threads in (1, 9):
        process = PeerProcess("peer_counting", threads)
        try:
            counts.append(process.prepare(Workload("gru", TINY[0], FORWARD))["threads"])
        finally:
            process.close()
    assert counts[1] - counts[0] >= 8
