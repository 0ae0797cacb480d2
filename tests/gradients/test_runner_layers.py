"""Schedules over layers: as over cells, and whole where a layer must see the whole sequence."""

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.gradients.checkpointing import revolve
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import chunked, full
from rnnbench.gradients.truncation import truncated, weighted
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.params import random_case

T, B, I = 7, 4, 3
LENGTHS = {"whole": None, "ragged": np.array([5, 7, 0, 3])}
SCHEDULES = {
    "full": full(T),
    "full in chunks": full(T, 2),
    "chunked": chunked(T, 3),
    "truncated": truncated(T, 2, 5),
    "weighted": weighted(T, {2: 0.5, 3: 0.0}),
    "revolve": revolve(T, 2),
}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
MASKED = "lstm[zoneout=true]"


@pytest.fixture(params=LENGTHS)
def lengths(request):
    return LENGTHS[request.param]


@pytest.fixture
def target():
    return get_target("plain")


def arrays_of(found):
    named = {f"params {k}": v for k, v in found.params.items()}
    named |= {f"state {k}": v for k, v in found.state.items()}
    named |= {f"final {k}": v for k, v in found.final.items()}
    return named | {"x": found.x, "y": found.y}


def assert_equal(got, want, rtol=0.0):
    got, want = arrays_of(got), arrays_of(want)
    assert got.keys() == want.keys()
    for name, value in want.items():
        atol = rtol * max(np.abs(value).max(), 1) if rtol else 0
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=atol, err_msg=name)


def draw(rng, arrays):
    found = {}
    for name, one in arrays.items():
        values = rng.uniform(-1, 1, one.shape)
        found[name] = values if one.draw is None else one.draw(values)
    return found


def layer_case(layer, seed=0):
    """Everything ``run`` takes from the parameters on but lengths."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (T, B, I))
    dy = rng.uniform(-1, 1, (T, B, layer.output_size(I)))
    states, inputs = layer.states(B, I), draw(rng, layer.inputs(T, B, I))
    given = layer.random_params(I), x, dy, draw(rng, states)
    return given, {"dstate": draw(rng, states), "inputs": inputs}


@EVERY_SCHEDULE
@pytest.mark.parametrize("cell", ["gru", "lstm", MASKED, "phased_lstm"])
def test_a_recurrent_layer_is_its_cell(cell, schedule, lengths, target):
    """Bit for bit; the phased LSTM's time goes on from chunk to chunk by itself."""
    case = random_case(cell, T=T, B=B, I=I, H=5, seed=1, ragged=False)
    inputs = None if cell == "phased_lstm" else case.inputs
    arguments = case.params, case.x, case.dy, case.state, lengths, case.dstate, inputs
    layer = run(schedule, target, Recurrent(cell, 5), *arguments)
    assert_equal(layer, run(schedule, target, cell, *arguments))


def stacks():
    yield "two cells", Stack([Recurrent("lstm", 4), Recurrent("gru", 5)])
    yield "residual", Stack([Recurrent("gru", 4), Recurrent("gru", 4)], residual=True)
    yield "masks a step", Stack([Recurrent("gru", 4), Recurrent(MASKED, 5)], masks="step")
    yield "masks a sequence", Stack([Recurrent("gru", 4), Recurrent("lstm", 5)], masks="sequence")


EVERY_STACK = pytest.mark.parametrize(
    "layer", [s[1] for s in stacks()], ids=[s[0] for s in stacks()]
)


@EVERY_STACK
@pytest.mark.parametrize("schedule", ["full in chunks", "revolve"])
def test_carried_gradients_make_chunks_of_layers_whole(layer, schedule, lengths, target):
    """The parameters' sums are in another order (1e-12); outputs bit for bit."""
    given, more = layer_case(layer)
    whole = run(full(T), target, layer, *given, lengths, **more)
    pieces = run(SCHEDULES[schedule], target, layer, *given, lengths, **more)
    assert_equal(pieces, whole, rtol=1e-12)
    np.testing.assert_array_equal(pieces.y, whole.y)
    tape = layer.forward(target, *given[:2], given[3], lengths, more["inputs"]).tape
    direct = layer.backward(tape, given[2], more["dstate"])
    for name, g in direct.params.items():
        np.testing.assert_array_equal(whole.params[name], g)
    np.testing.assert_array_equal(whole.x, direct.x)


@EVERY_STACK
def test_chunks_of_layers_are_detached(layer, lengths, target):
    given, more = layer_case(layer)
    params, x, dy, state = given
    total, dx = {name: 0 for name in params}, []
    for t0 in range(0, T, 3):
        t1 = min(t0 + 3, T)
        inside = None if lengths is None else np.clip(lengths - t0, 0, t1 - t0)
        steps = {name: one.per_step for name, one in layer.inputs(T, B, I).items()}
        now = {name: v[t0:t1] if steps[name] else v for name, v in more["inputs"].items()}
        result = layer.forward(target, params, x[t0:t1], state, inside, now)
        found = layer.backward(result.tape, dy[t0:t1], more["dstate"] if t1 == T else None)
        state = result.state
        total = {name: total[name] + g for name, g in found.params.items()}
        dx.append(found.x)
    got = run(chunked(T, 3), target, layer, *given, lengths, **more)
    np.testing.assert_array_equal(got.x, np.concatenate(dx))
    for name, g in total.items():
        np.testing.assert_allclose(got.params[name], g, rtol=1e-13, atol=1e-14, err_msg=name)


def test_two_directions_run_whole_only(lengths, target):
    layer = Bidirectional(Recurrent("gru", 4), Recurrent("lstm", 3))
    given, more = layer_case(layer)
    found = run(full(T), target, layer, *given, lengths, **more)
    tape = layer.forward(target, *given[:2], given[3], lengths, more["inputs"]).tape
    direct = layer.backward(tape, given[2], more["dstate"])
    for name, g in direct.params.items():
        np.testing.assert_array_equal(found.params[name], g)
    np.testing.assert_array_equal(found.x, direct.x)
    for schedule in (full(T, 3), chunked(T, 3), truncated(T, 1, 2), revolve(T, 2)):
        with pytest.raises(InputError, match="Bidirectional needs the whole sequence at once"):
            run(schedule, target, layer, *given, lengths, **more)
    with pytest.raises(InputError, match="Stack needs the whole sequence at once"):
        run(chunked(T, 3), target, Stack([layer]), *given)


def test_a_layer_s_inputs_are_checked_over_all_steps(target):
    layer = Recurrent(MASKED, 5)
    given, more = layer_case(layer)
    short = {name: value[:3] for name, value in more["inputs"].items()}
    for wrong, message in (
        (short, r"input zoneout_h has shape \(3, 4, 5\); needs \(7, 4, 5\)"),
        ({"mask": given[1]}, "unknown input 'mask'"),
        ([1], "inputs: a list; needs a mapping"),
    ):
        with pytest.raises(InputError, match=message):
            run(chunked(T, 3), target, layer, *given, inputs=wrong)
    with pytest.raises(InputError, match=r"zoneout_h.* is missing"):
        run(chunked(T, 3), target, layer, *given)


class OwnSum(Recurrent):
    """A layer with a sum of its own."""

    def accumulator(self, target):
        return self.Sum(self.backward)

    class Sum:
        def __init__(self, backward):
            self._backward, self.parts = backward, []

        def backward(self, tape, dy=None, dstate=None):
            found = self._backward(tape, dy, dstate)
            self.parts.append(found.params)
            return found._replace(params=None)

        def result(self):
            return {name: sum(part[name] for part in self.parts) for name in self.parts[0]}


@EVERY_SCHEDULE
def test_a_layer_may_add_up_by_itself(schedule, lengths, target):
    given, more = layer_case(Recurrent("gru", 5))
    found = run(schedule, target, OwnSum("gru", 5), *given, lengths, **more)
    assert_equal(found, run(schedule, target, Recurrent("gru", 5), *given, lengths, **more))
