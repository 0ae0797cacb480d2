"""All Numba options of the CPU target, the host's vector width, and the disk cache.

Numba's own cache index is not safe across processes: two that compile at once lose entries and
can even load another cell's machine code. So each compiled kernel gets a file of its own, named
by a hash of everything it depends on: signature, processor, and every source file of the
equations and of this folder (an edit in an imported file would else go unnoticed). There is no
index to lose, and a file appears by a rename, whole.

Numba also tells functions of one name apart by a counter that each process starts anew. Kernels
that two processes compiled may then define one symbol with different code, and whoever loads both
runs the wrong one. So the functions a kernel calls are named by a hash of what they do.
"""

import functools
import hashlib
import pickle
import threading
import warnings
from pathlib import Path

import llvmlite
import numba
from numba.core.registry import cpu_target

from rnnbench.bind import contents

# No fastmath at all: NaN and inf flow, and every operation rounds once. LLVM makes a vector and a
# scalar copy of a loop and picks one at run time, by the arrays' places; were it free to contract
# a multiply and an add in each as it likes, bits would depend on how rows are split over threads.
OPTIONS = {"fastmath": False, "error_model": "numpy", "nogil": True}


_compiling = threading.Lock()

# Wrappers for Python would be half of what is compiled.
NOT_CALLED_FROM_PYTHON = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@functools.cache
def host() -> tuple[str, str, str]:
    """Triple, processor and features that Numba compiles for (NUMBA_CPU_NAME/_FEATURES too)."""
    return tuple(map(str, cpu_target.target_context.codegen().magic_tuple()))


@functools.cache
def vector_bytes() -> int:
    """Width of the host's vectors. Results are right at any width; this one is fast."""
    features = host()[2].split(",")
    if "+avx512f" in features:
        return 64
    return 32 if "+avx" in features else 16


@functools.cache
def registers() -> int:
    """How many vectors the host's registers hold."""
    return 32 if vector_bytes() == 64 or host()[0].startswith("aarch64") else 16


@functools.cache
def fingerprint() -> str:
    """Hash of every source file that kernels are made of, and of the compilers' versions.

    A cell's own maths, wherever it comes from, is in its type (celltype.py).
    """
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for path in sources():
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def sources() -> list[Path]:
    """The files that kernels are made of."""
    package = Path(__file__).parents[1]
    folders = (sorted((package / name).glob("*.py")) for name in ("equations", "cpu"))
    own = [package / name for name in ("bind.py", "linearised.py", "parts.py", "spec.py")]
    return [*own, *(path for f in folders for path in f)]


class KernelFiles:
    """One file a compiled kernel; stands in for numba.core.caching.IndexDataCacheFile."""

    def __init__(self, original):
        self._files = original  # for its paths and its atomic write

    def _name(self, key) -> str:
        digest = hashlib.sha256(f"{key!r} {fingerprint()} {host()}".encode()).hexdigest()[:24]
        return f"{self._files._index_name.removesuffix('.nbi')}.{digest}.nbc"

    def save(self, key, data) -> None:
        content = self._files._dump(data)
        with self._files._open_for_write(self._files._data_path(self._name(key))) as f:
            f.write(hashlib.sha256(content).digest() + content)

    def load(self, key):
        """The kernel, or None where there is none or its file is damaged."""
        try:
            content = Path(self._files._data_path(self._name(key))).read_bytes()
        except OSError:
            return None
        digest, content = content[:32], content[32:]
        return pickle.loads(content) if hashlib.sha256(content).digest() == digest else None

    def flush(self) -> None:
        """Nothing to forget: a stale entry's name is never asked for again."""


def device(function):
    """A function that kernels call, and only they; compiled into each of them."""
    function.__qualname__ = f"{function.__name__.strip('<>')}_{contents(function)}"
    return numba.njit(**OPTIONS, **NOT_CALLED_FROM_PYTHON)(function)


def python_entry(function):
    """A function to be called from Python, not cached: for looking at device functions."""
    return numba.njit(**OPTIONS)(function)


def cached(function, **more):
    """Compiled and cached on disk. ``function`` must be a module-level one."""
    try:
        dispatcher = numba.njit(cache=True, **OPTIONS, **more)(function)
    except RuntimeError as error:  # no directory can be written to
        warnings.warn(f"rnnbench compiles anew in every process: {error}", stacklevel=3)
        return numba.njit(**OPTIONS, **more)(function)
    cache = dispatcher._cache
    cache._cache_file = KernelFiles(cache._cache_file)
    return dispatcher


class Kernel:
    """Machine code known by its address: ``void(kind, int64, …)``, cached on disk."""

    def __init__(self, function):
        self.dispatcher = cached(function, **NOT_CALLED_FROM_PYTHON)
        self.address = functools.cache(self._address)

    def _address(self, kind, count: int) -> int:
        """Of the code for a kind and ``count`` integers; compiles it at the first call."""
        signature = (kind, *[numba.types.int64] * count)
        with _compiling:
            self.dispatcher.compile(signature)
        (found,) = (c for s, c in self.dispatcher.overloads.items() if s == signature)
        return found.library.get_pointer_to_function(found.fndesc.llvm_func_name)
