"""One-to-many against the reference, and against a chain of single steps."""

import json

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.feedback import Feedback
from rnnbench.layers.layer import Array, joined, part, random_arrays
from rnnbench.layers.networks import network_data, network_from
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.target import reference_cell
from rnnbench_reference import feedback as reference

T, B, H = 6, 4, 4
LENGTHS = np.array([6, 2, 0, 5])
PLAIN = get_target("plain")
CELLS = ["lstm", "gru", "elman_tanh", "lstm[projection=true]", "mut3"]


class Case:
    def __init__(self, model, dtype=np.float64, seed=0):
        self.model, self.lengths = model, LENGTHS
        self.params = model.random_params(dtype, seed)
        self.state = random_arrays(model.states(B), dtype, [seed, 2])
        shapes = {n: Array(a.shape) for n, a in model.states(B).items()}
        self.dstate = random_arrays(shapes, dtype, [seed, 3])
        wanted = {"first": Array((B, model.input_size)), "dy": Array((T, B, model.input_size))}
        arrays = random_arrays(wanted, dtype, [seed, 4])
        self.first, self.dy = arrays["first"], arrays["dy"]

    def forward(self, target=PLAIN, **change):
        given = {"params": self.params, "state": self.state, "first": self.first}
        return self.model.forward(target, **({"T": T, "lengths": self.lengths} | given | change))

    def run(self, target=PLAIN):
        result = self.forward(target)
        return results(result, self.model.backward(result.tape, self.dy, self.dstate))


def results(run, gradients):
    found = {"y": run.y, "dfirst": gradients.first}
    found |= {f"final {n}": v for n, v in run.state.items()}
    found |= {f"d{n}": g for n, g in gradients.params.items()}
    return found | {f"initial {n}": g for n, g in gradients.state.items()}


def reference_run(case, cell):
    start, dstate = part(case.state, "layer"), part(case.dstate, "layer")
    run = reference.forward(reference_cell(cell), case.params, T, case.first, start, case.lengths)
    found = reference.backward(run.tape, case.dy, dstate)
    run = run._replace(state=joined({"layer": run.state}))
    return results(run, found._replace(state=joined({"layer": found.state})))


def assert_close(got, want, rtol=1e-12):
    assert got.keys() == want.keys()
    for name, w in want.items():
        scale = np.abs(w).max()
        np.testing.assert_allclose(got[name], w, rtol=0, atol=rtol * scale, err_msg=name)


def model(cell, project=None):
    layer = Recurrent(cell, H)
    return Feedback(layer, 3 if project else layer.output_size(3), project)


@pytest.mark.parametrize("project", [None, True])
@pytest.mark.parametrize("cell", CELLS)
def test_against_the_reference(cell, project):
    case = Case(model(cell, project))
    assert_close(case.run(), reference_run(case, cell))


@pytest.mark.parametrize("project", [None, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_on_the_cpu(cell, project):
    case = Case(model(cell, project))
    assert_close(case.run(get_target("cpu")), reference_run(case, cell))


@pytest.mark.parametrize("target", ["plain", "cpu"])
def test_is_a_chain_of_single_steps(target):
    """Bit for bit, forward and backward."""
    case, target = Case(model("lstm")), get_target(target)
    case.lengths = None
    got = case.run(target)
    layer, params = case.model.layer, part(case.params, "layer")
    u, state, tapes, y = case.first, part(case.state, "layer"), [], []
    for _ in range(T):
        result = layer.forward(target, params, u[None], state)
        u, state = result.y[0], result.state
        tapes.append(result.tape)
        y.append(u)
    du, dstate, total = np.zeros((B, H)), part(case.dstate, "layer"), {}
    for t in reversed(range(T)):
        found = layer.backward(tapes[t], (case.dy[t] + du)[None], dstate)
        du, dstate = found.x[0], found.state
        total = {n: total[n] + g if total else g for n, g in found.params.items()}
    np.testing.assert_array_equal(got["y"], np.stack(y))
    np.testing.assert_array_equal(got["dfirst"], du)
    for name in state:
        np.testing.assert_array_equal(got[f"final layer.{name}"], state[name])
        np.testing.assert_array_equal(got[f"initial layer.{name}"], dstate[name])
    for name, g in total.items():
        np.testing.assert_array_equal(got[f"dlayer.{name}"], g)


def test_a_gradient_that_stops_at_the_fed_outputs_fails():
    """Teacher forcing with the same numbers has the same outputs and another gradient."""
    case = Case(model("gru"))
    got = case.run()
    fed = np.concatenate([case.first[None], got["y"][:-1]])
    layer, params = case.model.layer, part(case.params, "layer")
    forced = layer.forward(PLAIN, params, fed, part(case.state, "layer"), LENGTHS)
    np.testing.assert_allclose(forced.y, got["y"], rtol=1e-14)
    wrong = layer.backward(forced.tape, case.dy, part(case.dstate, "layer"))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(wrong.params["R"], got["dlayer.R"], rtol=1e-2)


def test_an_identity_projection_is_none():
    case = Case(model("gru"))
    plain = case.run()
    case.model = Feedback(case.model.layer, H, project=True)
    case.params |= {"output.weight": np.eye(H), "output.bias": np.zeros(H)}
    projected = case.run()
    for name, value in plain.items():
        np.testing.assert_array_equal(projected[name], value, err_msg=name)


@pytest.mark.parametrize("cell", ["clockwork", "phased_lstm"])
def test_a_cell_that_counts_its_steps_counts_them_across_calls(cell):
    """The steps that were fed, given to the whole layer as x, give the same outputs."""
    case = Case(model(cell))
    case.lengths = None
    got = case.forward()
    fed = np.concatenate([case.first[None], got.y[:-1]])
    params, state = part(case.params, "layer"), part(case.state, "layer")
    run = case.model.layer.forward(PLAIN, params, fed, state)
    np.testing.assert_allclose(got.y, run.y, rtol=1e-14)


def test_no_first_input_is_zero():
    case = Case(model("gru", True))
    none = case.forward(first=None)
    zero = case.forward(first=np.zeros((B, 3)))
    np.testing.assert_array_equal(none.y, zero.y)


def test_past_its_end_a_sequence_is_frozen():
    case = Case(model("lstm", True))
    past = np.arange(T)[:, None] >= LENGTHS
    clean = case.run()
    case.dy[past] = np.nan
    for name, value in case.run().items():
        np.testing.assert_array_equal(value, clean[name], err_msg=name)
    assert not clean["y"][past].any() and not clean["dfirst"][2].any()
    np.testing.assert_array_equal(clean["final layer.c"][2], case.state["layer.c"][2])
    case.lengths = None
    longer = case.forward().y
    np.testing.assert_array_equal(longer[~past], clean["y"][~past])


def test_a_stack_by_finite_differences():
    """Central differences with a step of 1e-5 are right to about 1e-9 here."""
    layer = Stack([Recurrent("lstm", 3), Recurrent("gru", H)])
    case = Case(Feedback(layer, 2))
    result = case.forward()
    found = case.model.backward(result.tape, case.dy, case.dstate)
    arrays = case.params | case.state | {"first": case.first}
    gradients = found.params | found.state | {"first": found.first}
    rng = np.random.default_rng(7)
    along = {n: rng.standard_normal(a.shape) for n, a in arrays.items()}

    def loss(step):
        a = {n: value + step * along[n] for n, value in arrays.items()}
        params, state = ({n: a[n] for n in given} for given in (case.params, case.state))
        run = case.forward(params=params, state=state, first=a["first"], tape=False)
        return (run.y * case.dy).sum() + sum(
            (run.state[n] * d).sum() for n, d in case.dstate.items()
        )

    got = sum((gradients[n] * along[n]).sum() for n in arrays)
    assert got == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-7)


def test_float32_stays_float32():
    got = Case(model("gru", True), np.float32).run()
    assert {a.dtype for a in got.values()} == {np.dtype(np.float32)}
    assert_close(got, Case(model("gru", True)).run(), 1e-5)


def test_a_description_makes_the_same():
    network = Feedback(Stack([Recurrent("lstm", 3), Recurrent("gru", H)]), 2)
    data = json.loads(json.dumps(network_data(network)))
    assert network_data(network_from(data)) == data
    np.testing.assert_array_equal(Case(network_from(data)).forward().y, Case(network).forward().y)


def test_a_tape_may_be_used_again_and_is_its_own():
    case = Case(model("gru", True))
    result = case.forward()
    first = case.model.backward(result.tape, case.dy, case.dstate)
    for array in (*case.params.values(), *case.state.values(), case.first):
        array[...] = np.nan
    second = case.model.backward(result.tape, case.dy, case.dstate)
    for name, value in results(result, first).items():
        np.testing.assert_array_equal(value, results(result, second)[name])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"T": 0}, "T is 0"),
        ({"first": None, "state": None}, "neither a first input nor an initial state"),
        ({"first": np.zeros((B, 2))}, r"first has shape \(4, 2\); needs \(B, 4\)"),
        ({"first": np.zeros((B, H), int)}, "first has dtype int64"),
        ({"first": np.zeros((B, H), np.float32)}, "parameter layer.W has dtype float64"),
        ({"lengths": np.full(B, T + 1)}, "a length is 7"),
        ({"lengths": np.full(B + 1, T)}, "lengths have shape"),
        ({"params": {}}, "parameter layer.W is missing"),
        ({"state": {"h": np.zeros((B, H))}}, "unknown state 'h'; allowed: layer.h"),
        ({"first": None, "state": {"layer.h": np.zeros(B)}}, "a state has shape"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(InputError, match=message) as raised:
        Case(model("gru")).forward(object(), **change)
    assert "\n" not in str(raised.value)


def test_what_is_no_model():
    gru = Recurrent("gru", H)
    for arguments, message in [
        ((Bidirectional(gru, gru), 2 * H), "layer is a Bidirectional, which sees later inputs"),
        ((gru, 0), "input_size is 0"),
        ((gru, 3, False), "the layer's output is 4 wide, its input 3"),
        ((gru, 3, "yes"), "project is 'yes'"),
        ((gru, 3, 0), "project is 0; allowed: None, False, True"),
        ((gru, 3, np.ones((2, 2))), r"project is array\(\[\[1., 1.\], \[1., 1.\]\]\); allowed"),
    ]:
        with pytest.raises(InputError, match=message):
            Feedback(*arguments)
    one, other = model("gru"), model("gru")
    tape = Case(one).forward().tape
    with pytest.raises(InputError, match="tape is a Tape"):
        other.backward(tape)
    with pytest.raises(InputError, match="dy has shape"):
        one.backward(tape, np.zeros((T, B, H + 1)))
