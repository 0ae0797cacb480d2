"""verify's checks on the CUDA target, and every plant caught there."""

from dataclasses import astuple

import numpy as np
import pytest

from rnnbench import get_cell, get_target
from rnnbench.conformance.features import representatives
from rnnbench.conformance.kernel_checks import Context, check_edges, check_random
from rnnbench.conformance.plants import PLANTS, PlantedTarget
from rnnbench.conformance.verify import run_unit, select

MASKED = "lstm[projection=True,zoneout=True,recurrent_dropout=True]"
CELLS = [*representatives(), "lstm_peephole", MASKED]
APPLICABLE = [(p, c) for p in PLANTS for c in CELLS if PLANTS[p].applies(get_cell(c))]
UNITS = select([], ["cuda"], []) + [u for cell in CELLS for u in select([cell], ["cuda"], [])]


@pytest.mark.parametrize("unit", dict.fromkeys(UNITS), ids=lambda u: "-".join(map(str, astuple(u))))
def test_cuda_kernels_are_right(unit):
    report = run_unit(unit)
    assert report.passed, report.crash or report.first_failure


@pytest.mark.parametrize(("plant", "cell"), APPLICABLE)
def test_every_plant_is_caught_on_cuda(plant, cell):
    """The random case and the edges are enough (the simulator is slow)."""
    target = PlantedTarget(get_target("cuda"), PLANTS[plant])
    context = Context(target, get_target("reference"), cell, np.dtype("float32"), quick=True)
    checks = (check_random, check_edges)
    assert not all(result.passed for check in checks for result in check(context))
