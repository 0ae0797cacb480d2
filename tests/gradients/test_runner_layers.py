"""Schedules over layers: as over cells, and whole where a layer must see the whole sequence."""

from itertools import pairwise

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.gradients.checkpointing import optimal_checkpointing, revolve, sqrt_checkpointing
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import Backward, Forward, chunked, full
from rnnbench.gradients.truncation import truncated, weighted
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.case import random_layer_case
from rnnbench.layers.feedforward import FeedForward, FeedForwardSums
from rnnbench.layers.layer import Layer
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.layers.sums import BLOCK, Rows
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


# -- sums of the parameters' gradients -------------------------------------------------------------


class OwnSum(Recurrent):
    """A layer with a sum of its own."""

    def sums(self, target):
        return self.Sum(self.run_backward)

    class Sum:
        def __init__(self, backward):
            self._backward, self.parts = backward, []

        def backward(self, inner, dy, dstate):
            found = self._backward(inner, dy, dstate)
            self.parts.append(found.params)
            return found._replace(params=None)

        def result(self):
            return {name: sum(part[name] for part in self.parts) for name in self.parts[0]}


@EVERY_SCHEDULE
@pytest.mark.parametrize("wrap", [lambda layer: layer, lambda layer: Stack([layer])])
def test_a_layer_may_add_up_by_itself(wrap, schedule, lengths, target):
    layers = (wrap(kind("gru", 5)) for kind in (OwnSum, Recurrent))
    given, more = layer_case(wrap(Recurrent("gru", 5)))
    own, added = (run(schedule, target, layer, *given, lengths, **more) for layer in layers)
    assert_equal(own, added)


def test_an_accumulator_checks_what_it_is_given(target):
    layer = Stack([Recurrent("gru", 4), FeedForward([3])])
    given, more = layer_case(layer)
    tape = layer.forward(target, *given[:2], given[3]).tape
    sums = layer.accumulator(target)
    for wrong, message in (
        ((None,), "tape is a NoneType; needs one of this layer's forward"),
        ((tape, given[2][1:]), "dy has shape"),
        ((tape, None, {"0.c": given[2][0]}), "unknown dstate '0.c'; allowed: 0.h"),
    ):
        with pytest.raises(InputError, match=message):
            sums.backward(*wrong)
    found = sums.backward(tape, given[2], more["dstate"])
    direct = layer.backward(tape, given[2], more["dstate"])
    assert found.params is None
    np.testing.assert_array_equal(found.x, direct.x)
    assert list(sums.result()) == list(direct.params)
    for name, g in direct.params.items():
        np.testing.assert_array_equal(sums.result()[name], g)


LONG, MANY = 120, 16  # T · B steps, ragged: more than a block of rows


def edges_of(seed):
    rng = np.random.default_rng(seed)
    edges = [0, *sorted(rng.choice(np.arange(1, LONG), 9, replace=False).tolist()), LONG]
    chunks = list(pairwise(edges))
    back = [Backward(t0, t1, carry=t1 < LONG) for t0, t1 in reversed(chunks)]
    return [Forward(*chunk) for chunk in chunks] + back


WHOLE = {
    "single steps": full(LONG, 1),
    "edges anywhere": edges_of(0),
    "other edges": edges_of(1),
    "sqrt": sqrt_checkpointing(LONG),
    "optimal": optimal_checkpointing(LONG, 3, leaf=7),
    "revolve": revolve(LONG, 12),
}
SUMMED = {
    "one cell": Recurrent("lstm", 5),
    "stack": Stack([Recurrent("lstm", 5), Recurrent("gru", 4)]),
    "feed-forward": FeedForward((5, 3), ("tanh", "sigmoid")),
    "feed-forward between, residual, masks": Stack(
        [Recurrent("gru", 4), FeedForward((4,), "relu"), Stack([Recurrent("lstm", 4)])],
        residual=True,
        masks="step",
    ),
}


def long_run(layer, schedule, target, dtype):
    lengths = np.random.default_rng(3).integers(LONG // 2, LONG + 1, MANY)
    case = random_layer_case(layer, LONG, MANY, I, dtype, lengths=lengths)
    arguments = case.params, case.x, case.dy, case.state, lengths, case.dstate, case.inputs
    return arrays_of(run(schedule, target, layer, *arguments))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", SUMMED.values(), ids=SUMMED)
def test_sums_have_the_bits_of_one_pass(layer, dtype):
    """On cpu, wherever the chunks' edges are, whatever runs again."""
    target = get_target("cpu")
    want = long_run(layer, full(LONG), target, dtype)
    for name, schedule in WHOLE.items():
        found = long_run(layer, schedule, target, dtype)
        assert found.keys() == want.keys()
        for key, value in want.items():
            np.testing.assert_array_equal(found[key], value, err_msg=f"{name}: {key}")


class Bare:
    """A target without a sum of its own."""

    def __init__(self, target):
        self.forward, self.backward, self.matmul = target.forward, target.backward, target.matmul


@pytest.mark.parametrize("layer", SUMMED.values(), ids=SUMMED)
def test_pass_added_to_pass_has_other_bits(layer, monkeypatch):
    """The check above can fail."""
    target = Bare(get_target("cpu"))
    monkeypatch.setattr(FeedForward, "sums", Layer.sums)
    monkeypatch.setattr(FeedForward, "run_backward", one_go)
    whole, pieces = (
        long_run(layer, schedule, target, np.float32) for schedule in (full(LONG), edges_of(0))
    )
    changed = {name for name, value in whole.items() if (pieces[name] != value).any()}
    assert changed == {f"params {name}" for name in layer.parameters(I)}


def one_go(layer, inner, dy, dstate):
    sums = FeedForwardSums(layer.activation, inner[0])
    found = sums.backward(inner, dy, dstate)
    return found._replace(params=sums.result())


@pytest.mark.parametrize("name", ["plain", "cpu"])
@pytest.mark.parametrize("rows", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_sums_over_rows_know_no_edges(rows, name):
    """Bit for bit; against float64 products within float32's rounding of a sum of 1024."""
    rng, target = np.random.default_rng(rows), get_target(name)
    drows, values = (rng.standard_normal((rows, n)).astype(np.float32) for n in (5, 3))
    whole = Rows(target)
    whole.add(drows, values)
    for parts in (2, 7, 40):
        pieces = Rows(target)
        edges = [0, *np.sort(rng.integers(0, rows + 1, parts - 1)), rows]
        for a, b in reversed(list(pairwise(edges))):
            pieces.add(drows[a:b], values[a:b])
        for got, want in zip(pieces.result(), whole.result(), strict=True):
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, want)
    wide = drows.astype(np.float64)
    dW, db = whole.result()
    np.testing.assert_allclose(dW, wide.T @ values, atol=BLOCK * 6e-8 * 16)
    np.testing.assert_allclose(db, wide.sum(axis=0), rtol=1e-6)
