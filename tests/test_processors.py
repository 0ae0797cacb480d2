"""Processors without AVX-512, and without AVX at all: right results, no instruction they lack."""

import json
import os
import platform
import subprocess
import sys

import pytest

SSE = "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"
OLDER = {
    "haswell": f"{SSE},+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe",
    "nehalem": SSE,
}
# registers that each has not; fused multiply-adds came with AVX2
LACKS = {"haswell": ["%zmm", "%xmm16", "%k1"], "nehalem": ["%zmm", "%ymm", "vfmadd", "vaddps"]}
SCRIPT = """
import json, re, sys
import numpy as np
import rnnbench
from rnnbench.conformance.kernel_checks import everything
from rnnbench.cpu import backward, forward, jit, moves, panels, pointwise
from rnnbench.params import random_case

worst = {}
for cell in ("lstm", "mut1", "elman_tanh"):
    for dtype in (np.float32, np.float64):
        for sizes in ({}, {"T": 3, "B": 13, "I": 21, "H": 67}):
            case = random_case(cell, dtype=dtype, seed=5, **sizes)
            want = everything(rnnbench.get_target("reference"), case)
            for name, got in everything(rnnbench.get_target("cpu", threads=2), case).items():
                error = np.abs(got - want[name]).max() / max(1, np.abs(want[name]).max())
                size = error / np.finfo(dtype).eps
                worst[np.dtype(dtype).name] = max(worst.get(np.dtype(dtype).name, 0), float(size))
kernels = [forward.forward, backward.backward, panels.product, moves.move]
kernels += [pointwise.forward_stage, pointwise.backward_stage]
text = "".join(t for k in kernels for t in k.dispatcher.inspect_asm().values())
found = [word for word in sys.argv[1:] if re.search(re.escape(word) + r"(?![0-9])", text)]
print(json.dumps([jit.vector_bytes(), worst, len(text), found]))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86's processors")
@pytest.mark.parametrize("name", OLDER)
def test_an_older_processor(name, tmp_path):
    environment = os.environ | {
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": OLDER[name],
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *LACKS[name]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    width, worst, length, found = json.loads(run.stdout)
    assert width == {"haswell": 32, "nehalem": 16}[name]
    assert length > 100_000
    assert found == []
    # sums of at most 130 products in each of some steps; verify judges more finely
    assert max(worst.values()) < 100
