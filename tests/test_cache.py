"""The disk cache: safe when processes compile at once, and hit by the next process."""

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rnnbench import get_cell, get_target
from rnnbench.bind import contents
from rnnbench.cpu import jit
from rnnbench.equations.functions import const
from rnnbench.params import random_case

SCRIPT = """
import json, sys
import numpy as np
import rnnbench
from rnnbench.conformance.kernel_checks import everything
from rnnbench.cpu import backward, forward, moves, panels, pointwise
from rnnbench.params import random_case

target, sums = rnnbench.get_target("cpu"), {}
for cell in sys.argv[1:]:
    got = everything(target, random_case(cell, dtype=np.float32, seed=3))
    sums[cell] = [float(v.astype(np.float64).sum()) for v in got.values()]
kernels = [forward.forward, backward.backward, panels.product, moves.move]
kernels += [pointwise.forward_stage, pointwise.backward_stage]
misses = sum(sum(k.dispatcher.stats.cache_misses.values()) for k in kernels)
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
    """Both compile the same cells at once; right results; a third compiles nothing."""
    cells = ("elman_tanh", "elman_relu", "gru", "gru_reset_before", "lstm", "scrn")
    both = [start(tmp_path, *cells) for _ in range(2)]
    (first, cold), (second, _) = map(output, both)
    assert first == second
    assert cold > 0
    third, misses = output(start(tmp_path, *cells))
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
    def make(constant, inner):
        return lambda x: inner(x) + constant

    same, other = make(1, abs), make(1, abs)
    assert contents(same) == contents(other)
    assert len({contents(f) for f in (same, make(2, abs), make(1, round))}) == 3


class Files:
    """What KernelFiles needs of Numba's own class."""

    def __init__(self, folder):
        self._index_name, self.folder = "kernel.nbi", folder

    def _data_path(self, name):
        return self.folder / name

    def _dump(self, data):
        return pickle.dumps(data)

    def _open_for_write(self, path):
        return open(path, "wb")


def test_a_damaged_cache_file_is_compiled_again(tmp_path):
    files = jit.KernelFiles(Files(tmp_path))
    assert files.load("key") is None
    files.save("key", ("machine", "code"))
    assert files.load("key") == ("machine", "code")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[:-1], whole + b"x", whole[:40] + b"!" + whole[41:]):
        path.write_bytes(damaged)
        assert files.load("key") is None


def test_without_a_place_for_the_cache_kernels_still_compile(monkeypatch):
    real = jit.numba.njit

    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("no locator available")
        return real(**options)

    # this module's name alone: Numba imports parts of itself late, through its own njit
    monkeypatch.setattr(jit, "numba", SimpleNamespace(njit=njit))
    with pytest.warns(UserWarning, match="compiles anew in every process"):
        assert jit.cached(lambda x: x + 1)(1) == 2


def test_names_differ_by_signature_and_source(monkeypatch, tmp_path):
    files = jit.KernelFiles(Files(tmp_path))
    one, two = files._name(("float32",)), files._name(("float64",))
    assert one != two
    copy = tmp_path / "equations.py"
    copy.write_text("h = o * tanh(c)")
    monkeypatch.setattr(jit, "sources", lambda: [copy])
    jit.fingerprint.cache_clear()
    before = files._name(("float32",))
    copy.write_text("h = o * tanh(c')")
    jit.fingerprint.cache_clear()
    try:
        assert one != before != files._name(("float32",))
    finally:
        jit.fingerprint.cache_clear()


def test_every_source_of_a_kernel_counts():
    names = {path.name for path in jit.sources()}
    assert {"bind.py", "spec.py", "lstm.py", "functions.py", "tile.py", "simd.py"} <= names


def test_two_cells_of_one_name_are_two():
    """A changed equation under an old name must not run the old machine code."""
    target, cell = get_target("cpu"), get_cell("elman_tanh")
    case = random_case(cell, seed=1)

    def scaled(factor):
        inner = cell.forward[0]

        def forward(a, s, q, p):
            out, saved = inner(a, s, q, p)
            return (out[0] * const(out[0], factor),), saved

        return dataclasses.replace(cell, forward=(forward,))

    first = [target.forward(c, *case.forward_arguments()[1:]).y[0] for c in (cell, scaled(2.0))]
    again = target.forward(scaled(3.0), *case.forward_arguments()[1:]).y[0]
    np.testing.assert_allclose(first[1], 2 * first[0])
    np.testing.assert_allclose(again, 3 * first[0])
