"""The committed golden set, and a directory outside the checkout with a user's module in it."""

import shutil
import sys
from pathlib import Path

import pytest

from rnnbench.conformance import golden

HERE = Path(__file__).parent
COMMITTED = HERE.parents[1] / "results" / "golden"


@pytest.fixture(scope="session")
def goldens():
    return golden.read_set(COMMITTED)


@pytest.fixture
def users_module(tmp_path, monkeypatch):
    """``my_networks`` can be imported; the working directory is outside the checkout."""
    shutil.copy(HERE / "users.py", tmp_path / "my_networks.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("my_networks", None)
