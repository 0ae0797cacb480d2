"""The same kernels for a quick local look: ``pytest benchmarks`` (needs pytest-benchmark).

``pytest benchmarks -k "T50B32H128 and train" --benchmark-compare`` and so on. Imports no pytest:
asv imports every file of this folder, also where only rnnbench is installed.
"""

import functools
from itertools import product

from rnnbench.peers.workload import DIRECTIONS

from . import common


def pytest_generate_tests(metafunc):
    grids = common.every_cell(), common.every_shape()
    pairs = dict.fromkeys(p for cells, shapes in grids for p in product(cells, shapes))
    cases = [(cell, shape, d) for cell, shape in pairs for d in DIRECTIONS]
    metafunc.parametrize(("cell", "shape", "direction"), cases, ids=map("-".join, cases))


disagreement = functools.cache(common.disagreement)


def test_kernel(benchmark, cell, shape, direction):
    assert not disagreement(cell, shape)
    run, _ = common.prepare(cell, shape, direction)
    run()
    benchmark.group = f"{shape} {direction}"
    benchmark.extra_info["flops"] = common.workload(cell, shape, direction).flops()
    benchmark(run)
