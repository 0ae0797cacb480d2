"""verify's checks on the CUDA target, and every plant caught there."""

import numpy as np
import pytest

from rnnbench import cell_names, get_cell, get_target
from rnnbench.conformance.kernel_checks import Context, check_random
from rnnbench.conformance.plants import PLANTS, PlantedTarget
from rnnbench.conformance.verify import Unit, run_unit

APPLICABLE = [(p, c) for p in PLANTS for c in cell_names() if PLANTS[p].applies(get_cell(c))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", cell_names())
def test_cuda_kernels_are_right(cell, dtype):
    report = run_unit(Unit(cell, "cuda", dtype))
    assert report.passed, report.crash or report.first_failure


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("plant", "cell"), APPLICABLE)
def test_every_plant_is_caught_on_cuda(plant, cell, dtype):
    """The random case alone is enough (the simulator is slow)."""
    target = PlantedTarget(get_target("cuda"), PLANTS[plant])
    context = Context(target, get_target("reference"), cell, np.dtype(dtype), quick=True)
    assert not all(result.passed for result in check_random(context))
