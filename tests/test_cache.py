"""The disk cache: safe when processes compile at once, and hit by the next process."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, sys
import numpy as np
import rnnbench
from rnnbench.conformance.kernel_checks import everything
from rnnbench.cpu import backward, forward, tile
from rnnbench.params import random_case

target, sums = rnnbench.get_target("cpu"), {}
for cell in sys.argv[1:] or rnnbench.cell_names():
    got = everything(target, random_case(cell, dtype=np.float32, seed=3))
    sums[cell] = [float(v.astype(np.float64).sum()) for v in got.values()]
kernels = [forward.forward_steps, backward.backward_steps, tile.product, tile.panel_product]
misses = sum(sum(k.stats.cache_misses.values()) for k in kernels)
print(json.dumps([sums, misses]))
"""


def start(cache, *cells):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", SCRIPT, *cells]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def output(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(out)


@pytest.mark.slow
def test_two_cold_processes_then_a_warm_one(tmp_path):
    """Both compile every cell at once; right results; a third compiles nothing."""
    both = [start(tmp_path) for _ in range(2)]
    (first, cold), (second, _) = map(output, both)
    assert first == second
    assert cold > 0
    third, misses = output(start(tmp_path))
    assert third == first
    assert misses == 0
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".nbi")]


def test_cells_compiled_in_separate_processes_do_not_share_code(tmp_path):
    """Cells of one array layout, each compiled alone, then loaded side by side.

    Numba numbers functions from one up in every process: without names of their own the second
    cell's kernels would call the first one's equations.
    """
    cells = ("elman_tanh", "elman_relu")
    alone = {}
    for sums, _ in map(output, [start(tmp_path, cell) for cell in cells]):
        alone |= sums
    together, misses = output(start(tmp_path, *cells))
    assert misses == 0
    assert together == alone


def test_names_follow_contents():
    from rnnbench.cpu.jit import contents

    def make(constant, inner):
        return lambda x: inner(x) + constant

    same, other = make(1, abs), make(1, abs)
    assert contents(same) == contents(other)
    assert len({contents(f) for f in (same, make(2, abs), make(1, round))}) == 3


def test_a_damaged_cache_file_is_compiled_again(tmp_path):
    from rnnbench.cpu.jit import KernelFiles

    class Files:
        _index_name = "kernel.nbi"

        def _load_data(self, name):
            raise EOFError

    assert KernelFiles(Files()).load("key") is None


def test_names_differ_by_signature_and_source(monkeypatch):
    from rnnbench.cpu import jit

    class Files:
        _index_name = "kernel.nbi"

    files = jit.KernelFiles(Files())
    one, two = files._name(("float32",)), files._name(("float64",))
    assert one != two
    monkeypatch.setattr(jit, "fingerprint", lambda: "edited")
    assert files._name(("float32",)) != one
