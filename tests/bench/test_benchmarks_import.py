"""The tracked benchmarks, each called once at tiny shapes; nothing is said about times."""

import importlib
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from rnnbench import cell_names
from rnnbench.conformance.features import representatives

ROOT = Path(__file__).parents[2]


@pytest.fixture
def load(monkeypatch):
    """Imports a module of benchmarks/ under the tiny profile."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("RNNBENCH_PROFILE", "tiny")

    def forget():
        for name in [n for n in sys.modules if n.partition(".")[0] == "benchmarks"]:
            del sys.modules[name]

    forget()
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    forget()


def benchmark_classes(kernels):
    """What asv finds."""
    return {n: c for n, c in vars(kernels).items() if isinstance(c, type) and n[0] != "_"}


def test_every_benchmark_runs(load):
    kernels = load("kernels")
    classes = benchmark_classes(kernels)
    assert {n for n in classes if n.startswith("EveryCell_")} == {
        f"EveryCell_{c}" for c in representatives()
    }
    checked = next(iter(classes.values()))().setup_cache()
    assert checked and not any(checked.values())
    tracked = set()
    for name, kind in classes.items():
        if name.startswith("EveryPeer_"):
            continue
        names = [n for n in dir(kind) if n.startswith(("time_", "peakmem_", "track_"))]
        assert "time_kernel" in names and len(names) >= 2
        for values in product(*kind.params):
            benchmark = kind()
            benchmark.setup(checked, *values)
            for name in names:
                method = getattr(benchmark, name)
                if not name.startswith("track_"):
                    method(checked, *values)
                elif name not in tracked:  # they take a second each
                    assert method(checked, *values) > 0 and isinstance(method.unit, str)
                    tracked.add(name)
    assert tracked == {"track_reference_speedup", "track_sgemm_share"}


def test_the_ratio_to_other_libraries_is_tracked_where_there_are_any(load, monkeypatch):
    kernels, common = load("kernels"), load("common")
    kinds = [c for n, c in benchmark_classes(kernels).items() if n.startswith("EveryPeer_")]
    assert [kind.cell for kind in kinds] == common.every_shape()[0]
    benchmark = kinds[0]()
    shape, direction = (values[0] for values in kinds[0].params)
    fine = {common.key(kinds[0].cell, shape): ""}
    monkeypatch.setattr(common, "others", lambda: [])
    with pytest.raises(NotImplementedError, match="no other library"):
        benchmark.setup(fine, shape, direction)
    monkeypatch.setattr(common, "others", lambda: ["rnnbench"])  # ourselves, once more
    benchmark.setup(fine, shape, direction)
    with pytest.raises(RuntimeError, match="not timed: wrong"):
        benchmark.setup(dict.fromkeys(fine, "wrong"), shape, direction)
    monkeypatch.setattr(common, "peer_speedup", lambda *what: 1.23456)
    assert benchmark.track_peer_speedup(fine, shape, direction) == 1.235


def test_what_each_profile_runs(load, monkeypatch):
    """All cells at one shape; at all shapes, one of each family that another library has."""
    common = load("common")
    assert common.every_cell()[0] == representatives()
    monkeypatch.setenv("RNNBENCH_PROFILE", "regular")
    assert common.every_cell() == (cell_names(), ["T50B32H128"])
    few, shapes = common.every_shape()
    assert {"lstm", "gru", "elman_tanh"} <= set(few) < set(cell_names()) and len(few) < 6
    assert len(shapes) == 8
    monkeypatch.setenv("RNNBENCH_PROFILE", "full")
    assert common.every_shape() == (cell_names(), shapes)


def test_what_disagrees_is_not_timed(load, monkeypatch):
    kernels, common = load("kernels"), load("common")
    kind = next(iter(benchmark_classes(kernels).values()))
    shape, direction = (values[0] for values in kind.params)
    right = common.ours.prepare

    def wrong(workload, threads):
        run, arrays = right(workload, threads)
        return run, lambda result: arrays(result) | {"y": 1.001 * arrays(result)["y"]}

    monkeypatch.setattr(common.ours, "prepare", wrong)
    checked = {common.key(kind.cell, shape): common.disagreement(kind.cell, shape)}
    with pytest.raises(RuntimeError, match="not timed: forward: y is off"):
        kind().setup(checked, shape, direction)


def test_unknown_profile(load, monkeypatch):
    monkeypatch.setenv("RNNBENCH_PROFILE", "huge")
    with pytest.raises(ValueError, match="allowed: tiny, regular, full"):
        load("kernels")


def test_asv_check(tmp_path):
    pytest.importorskip("asv")
    env = os.environ | {"HOME": str(tmp_path), "RNNBENCH_PROFILE": "tiny"}
    done = subprocess.run(
        [sys.executable, "-m", "asv", "check", "--python=same"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pytest_side_covers_the_same_kernels(load):
    cases = []

    class Metafunc:
        @staticmethod
        def parametrize(names, values, ids):
            cases.extend(values)

    load("test_kernels").pytest_generate_tests(Metafunc)
    expected = {
        (kind.cell, *values)
        for kind in benchmark_classes(load("kernels")).values()
        for values in product(*kind.params)
    }
    assert set(cases) == expected and len(cases) == len(expected)


def family(kernels, start):
    """A benchmark class of one kind, with its first shape and direction."""
    kind = next(c for n, c in benchmark_classes(kernels).items() if n.startswith(start))
    return kind, [values[0] for values in kind.params]


def test_setup_warms_up_once(load, monkeypatch):
    kernels, common = load("kernels"), load("common")
    kind, values = family(kernels, "EveryCell_")
    calls = []

    def prepare(*what):
        calls.append(what)
        return lambda: calls.append("run"), None

    monkeypatch.setattr(common, "prepare", prepare)
    benchmark = kind()
    for _ in range(2):  # asv calls setup before every sample
        benchmark.setup({common.key(kind.cell, values[0]): ""}, *values)
    assert calls == [(kind.cell, *values), "run"]


def test_reference_speedup_is_above_1_where_we_are_faster(load, monkeypatch):
    kernels, common = load("kernels"), load("common")
    kind, values = family(kernels, "EveryCell_")
    monkeypatch.setattr(common, "reference", lambda *what: what)
    seconds = {(kind.cell, *values): 8.0, "ours": 2.0}
    monkeypatch.setattr(kernels, "median_seconds", seconds.__getitem__)
    benchmark = kind()
    benchmark.run = "ours"
    assert benchmark.track_reference_speedup({}, *values) == 4.0


def test_sgemm_share_is_a_share(load, monkeypatch):
    kernels, common = load("kernels"), load("common")
    kind, values = family(kernels, "EveryShape_")
    monkeypatch.setattr(kernels.sgemm, "prepare", lambda threads: ("sgemm", "whose"))
    flops = common.workload(kind.cell, *values).flops()
    # the product at 10 GF/s, the kernel at 2.5
    seconds = {"sgemm": 2 * kernels.sgemm.N**3 / 10e9, "ours": flops / 2.5e9}
    monkeypatch.setattr(kernels, "median_seconds", seconds.__getitem__)
    benchmark = kind()
    benchmark.run = "ours"
    assert benchmark.track_sgemm_share({}, *values) == pytest.approx(0.25)


def test_loading_the_benchmarks_imports_no_torch():
    """Its megabytes would count as our kernels' peak memory."""
    code = "import sys, benchmarks.kernels; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_way_of_a_gradient_runs(load):
    gradients = load("gradients")
    kinds = [c for c in benchmark_classes(gradients).values() if issubclass(c, gradients._Group)]
    assert len(kinds) == 2 * len(gradients.GROUPS)
    tracked = set()
    for kind in kinds:
        for values in product(*kind.params):
            benchmark = kind()
            benchmark.setup(*values)
            if hasattr(benchmark, "peakmem_way"):
                benchmark.peakmem_way(*values)
                continue
            benchmark.time_way(*values)
            if kind.group not in tracked:  # they take a while each
                assert benchmark.track_ratio(*values) > 0
                tracked.add(kind.group)


def test_a_wrong_way_is_not_benchmarked(load, monkeypatch):
    gradients = load("gradients")
    monkeypatch.setattr(gradients, "disagreement", lambda *arguments: "dW is off")
    with pytest.raises(RuntimeError, match="rtrl at T9B2H4 is not timed: dW is off"):
        gradients.OnlineTimed().setup("T9B2H4", "rtrl")
