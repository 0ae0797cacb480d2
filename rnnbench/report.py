"""Writing results: atomically, and as tables that read well at 80 columns."""

import json
import os
import platform
import tempfile
from pathlib import Path

import numpy as np

from rnnbench.errors import InputError


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a file whole or not at all. InputError where the place can't be written."""
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"can't write {path}: {error.strerror}") from error


def write_json(path: str | os.PathLike, value) -> None:
    """Write ``value`` as indented JSON, NumPy scalars and arrays included."""
    text = json.dumps(value, indent=1, default=_plain, allow_nan=True)
    write_bytes(path, (text + "\n").encode())


def _plain(value):
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"no JSON for {type(value).__name__}")


def make_directory(path: str | os.PathLike) -> Path:
    """Create a directory and its parents; InputError where that can't be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't create {path}: {error.strerror}") from error
    return Path(path)


def machine() -> dict[str, str | int]:
    """What a figure was measured on."""
    import numba

    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return {
        "processor": name,
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }
