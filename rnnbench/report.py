"""Writing results: atomically, and as tables that read well at 80 columns."""

import json
import math
import os
import platform
import tempfile
from pathlib import Path

import numpy as np

from rnnbench.errors import InputError


def check_writable(path: str | os.PathLike | None) -> None:
    """InputError, before long work starts, where ``write_bytes`` would fail in the end."""
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise InputError(f"can't write {path}: it is a directory")
    if not path.exists():
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
                pass
        except OSError as error:
            raise InputError(f"can't write {path}: {error.strerror}") from error


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a file whole or not at all. InputError where the place can't be written.

    A link stays a link, and what is no regular file (/dev/stdout, a pipe) is written to as it is.
    """
    path = Path(os.path.realpath(path))
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~current_umask()
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"can't write {path}: {error.strerror}") from error


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: str | os.PathLike, value) -> None:
    """Write ``value`` as indented JSON, NumPy included; NaN and inf become "nan", "inf", "-inf"."""
    text = json.dumps(_plain(value), indent=1, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def _plain(value):
    """Only what JSON has."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
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
