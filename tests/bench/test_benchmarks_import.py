"""The tracked benchmarks, each called once at tiny shapes; nothing is said about times."""

import importlib
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

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


def test_every_benchmark_runs(load):
    kernels = load("kernels")
    checked = kernels.EveryCell().setup_cache()
    assert checked and not any(checked.values())
    for kind in (kernels.EveryCell, kernels.EveryShape):
        names = [n for n in dir(kind) if n.startswith(("time_", "peakmem_", "track_"))]
        assert "time_kernel" in names and len(names) >= 2
        for number, values in enumerate(product(*kind.params)):
            benchmark = kind()
            benchmark.setup(checked, *values)
            for name in names:
                if not name.startswith("track_"):
                    getattr(benchmark, name)(checked, *values)
                elif number == 0:
                    assert getattr(benchmark, name)(checked, *values) > 0
                    assert isinstance(getattr(benchmark, name).unit, str)


def test_what_disagrees_is_not_timed(load, monkeypatch):
    kernels, common = load("kernels"), load("common")
    cell, shape, direction = (values[0] for values in kernels.EveryCell.params)
    right = common.ours.prepare

    def wrong(workload, threads):
        run, arrays = right(workload, threads)
        return run, lambda result: arrays(result) | {"y": 1.001 * arrays(result)["y"]}

    monkeypatch.setattr(common.ours, "prepare", wrong)
    checked = {common.key(cell, shape): common.disagreement(cell, shape)}
    with pytest.raises(RuntimeError, match="not timed: forward: y is off"):
        kernels.EveryCell().setup(checked, cell, shape, direction)


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
    kernels = load("kernels")
    expected = {
        c for kind in (kernels.EveryCell, kernels.EveryShape) for c in product(*kind.params)
    }
    assert set(cases) == expected and len(cases) == len(expected)
