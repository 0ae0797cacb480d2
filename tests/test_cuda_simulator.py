"""Every plain test run covers the CUDA kernels: in Numba's simulator, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.errors import MissingDependency
from rnnbench.target import get_target

FOLDER = Path(__file__).parent / "cuda"
# the folder's own tests, and those of every target
FILES = [*sorted(FOLDER.glob("test_*.py")), FOLDER.parent / "test_bad_input.py"]


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_cuda_kernels_in_the_simulator(file):
    # -P: test the installed package, not the folder pytest is started in
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n0",
        str(file),
    ]
    run = subprocess.run(
        command,
        cwd=FOLDER.parent,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
    assert "skipped" not in run.stdout


def test_without_gpu_and_simulator_one_line_says_what_to_do(monkeypatch):
    monkeypatch.setattr("rnnbench.cuda.target.available", lambda: False)
    with pytest.raises(MissingDependency, match="NUMBA_ENABLE_CUDASIM=1") as caught:
        get_target("cuda")
    assert "rnnbench[cuda]" in str(caught.value) and "\n" not in str(caught.value)
