"""Random cases for the reference's own tests, and exact conversion to balls.

These fixtures return functions, so that no test file needs to import another one.
"""

from types import SimpleNamespace

import flint
import numpy as np
import pytest

import rnnbench_reference as ref

T, B, I, H = 5, 3, 4, 7
RAGGED = (3, 1, 5)


def random_case(cell, seed=0, dtype=np.float64, lengths=RAGGED):
    """All inputs of a forward and a backward, none of them zero or repeated."""
    rng = np.random.default_rng(seed)

    def normal(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(dtype)

    definition = ref.get_cell(cell)
    batch = len(lengths)
    return SimpleNamespace(
        cell=cell,
        params={k: normal(*s, scale=0.5) for k, s in definition.shapes(I, H).items()},
        x=normal(T, batch, I),
        state={k: normal(batch, H) for k in definition.states},
        lengths=np.array(lengths),
        dy=normal(T, batch, H),
        dstate={k: normal(batch, H) for k in definition.states},
    )


def run_case(case):
    """Every number that forward and backward return, by name."""
    run = ref.forward(case.cell, case.params, case.x, case.state, case.lengths)
    grads = ref.backward(run.tape, case.dy, case.dstate)
    named = {"y": run.y, "dx": grads.x}
    named |= {f"state {k}": v for k, v in run.states.items()}
    named |= {f"d{k}": v for k, v in grads.params.items()}
    return named | {f"dstate {k}": v for k, v in grads.state.items()}


def to_balls(array):
    """Object array of flint.arb, each the exact value of a float."""
    balls = np.empty(array.shape, dtype=object)
    balls.flat = [flint.arb(float(v)) for v in array.flat]
    return balls


def map_case(case, convert):
    """The case with every array of numbers converted."""
    new = SimpleNamespace(**vars(case))
    for name in ("params", "state", "dstate"):
        setattr(new, name, {k: convert(v) for k, v in getattr(case, name).items()})
    new.x, new.dy = convert(case.x), convert(case.dy)
    return new


@pytest.fixture(name="random_case")
def _random_case():
    return random_case


@pytest.fixture(name="run_case")
def _run_case():
    return run_case


@pytest.fixture(name="to_balls")
def _to_balls():
    return to_balls


@pytest.fixture(name="map_case")
def _map_case():
    return map_case
