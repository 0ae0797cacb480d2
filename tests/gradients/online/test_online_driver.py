"""The driver: one step at a time, whatever the algorithm."""

import numpy as np
import pytest

from rnnbench import get_cell, get_target
from rnnbench.errors import InputError
from rnnbench.gradients.online import (
    ALGORITHMS,
    KFRTRL,
    OK,
    UORO,
    ForwardGradient,
    Online,
    SnAp,
    get_algorithm,
    run,
)
from rnnbench.gradients.online.algorithm import balance
from rnnbench.gradients.scan import Scan
from rnnbench.layers.recurrent import Recurrent
from rnnbench.params import random_case

PLAIN = get_target("plain")
EVERY = pytest.mark.parametrize("algorithm", ALGORITHMS)


def small_case(cell="lstm", T=4, **options):
    return random_case(cell, T=T, B=2, I=2, H=3, **options)


def numbers(thing) -> int:
    """How many numbers an object holds, in arrays anywhere below it."""
    if isinstance(thing, np.ndarray):
        return thing.size
    if isinstance(thing, dict):
        return sum(map(numbers, thing.values()))
    if isinstance(thing, list | tuple):
        return sum(map(numbers, thing))
    return sum(map(numbers, vars(thing).values())) if hasattr(thing, "__dict__") else 0


@EVERY
def test_memory_does_not_grow(algorithm):
    case = small_case(T=30)
    online = Online(algorithm, PLAIN, case.cell, case.params, 2, case.state)
    sizes = {}
    for t in range(30):
        online.step(case.x[t])
        online.gradient(case.dy[t])
        sizes[t + 1] = numbers(online.algorithm) + numbers(online.state)
    assert sizes[3] == sizes[30] > 0
    assert numbers([np.zeros(3), {"a": np.zeros((2, 2))}]) == 7


@EVERY
def test_gradients_superpose(algorithm, online):
    """Of y and of the states; and a run is the sum of its steps."""
    case = small_case(ragged=False)
    one = Online(algorithm, PLAIN, case.cell, case.params, 2, case.state)
    total = {}
    for t in range(4):
        y = one.step(case.x[t])
        found = one.gradient(case.dy[t]).params
        if t == 3:
            last = one.gradient(None, case.dstate).params
            both = one.gradient(case.dy[t], case.dstate).params
            online.assert_same(both, {k: found[k] + last[k] for k in both})
            found = both
        total = {k: total.get(k, 0) + g for k, g in found.items()}
    whole = online.run(algorithm, case)
    online.assert_same(whole.params, total)
    np.testing.assert_array_equal(whole.y[-1], y)


@EVERY
def test_padding_never_leaks(algorithm, online):
    case = random_case("lstm", T=4, B=3, I=2, H=3, ragged=False)
    lengths = np.array([2, 4, 0])
    clean = online.run(algorithm, case, lengths=lengths)
    padding = np.arange(4)[:, None] >= lengths
    case.x[padding], case.dy[padding] = np.nan, np.nan
    dirty = online.run(algorithm, case, lengths=lengths)
    for name, g in clean.params.items():
        np.testing.assert_array_equal(dirty.params[name], g)
    assert not dirty.y[padding].any()


@EVERY
def test_a_nan_reaches_the_gradient(algorithm, online):
    case = small_case(ragged=False)
    case.x[1] = np.nan
    assert all(np.isnan(g).any() for g in online.run(algorithm, case).params.values())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@EVERY
def test_the_compiled_target_gives_the_same(algorithm, cell, online):
    case = random_case(cell, T=5, B=3, I=4, H=7, seed=2)
    got, want = (online.run(algorithm, case, get_target(name)) for name in ("cpu", "plain"))
    online.assert_same(got.params, want.params, 1e-10)  # randomised ones divide by small norms
    online.assert_same(got.final, want.final)


@EVERY
def test_every_shape_and_dtype(algorithm, online):
    case = small_case("lstm[projection=true]", dtype=np.float32)
    got = online.run(algorithm, case)
    for name, p in case.params.items():
        assert got.params[name].shape == p.shape and got.params[name].dtype == np.float32


def test_a_default_input_counts_on(online):
    """Clockwork's units are active by the step's number, also one step at a time."""
    case = random_case("clockwork", T=6, B=2, I=2, H=4, seed=1, ragged=False)
    got = online.run("rtrl", case, inputs=None)
    forward = PLAIN.forward(case.cell, case.params, case.x, case.state)
    want = PLAIN.backward(forward.tape, case.dy, case.dstate)
    online.assert_same(got.params, want.params)
    np.testing.assert_array_equal(got.y, forward.y)


def test_upstream_may_be_a_callable(online):
    case, seen = small_case(ragged=False), []

    def half_squares(t, y):
        seen.append(t)
        return (y**2).sum() / 2, y

    got = online.run("rtrl", case, upstream=half_squares)
    assert seen == [0, 1, 2, 3]
    assert got.loss == pytest.approx((got.y**2).sum() / 2, rel=1e-14)
    online.assert_same(got.params, online.run("rtrl", case, upstream=got.y).params)
    assert online.run("rtrl", case, upstream=lambda t, y: y).loss is None


def test_replaced_parameters_are_used(online):
    """With a step whose J is 0 nothing of the old parameters is left."""
    case = random_case("elman_tanh", T=2, B=2, I=2, H=3, ragged=False)
    zero = case.params | {"R": np.zeros((3, 3))}
    one = Online("rtrl", PLAIN, case.cell, case.params, 2, case.state)
    one.step(case.x[0])
    one.replace(zero)
    h = one.state
    one.step(case.x[1])
    last = case.cut(slice(1, 2), slice(None))
    forward = PLAIN.forward(case.cell, zero, last.x, h)
    want = PLAIN.backward(forward.tape, last.dy)
    online.assert_same(one.gradient(case.dy[1]).params, want.params)
    with pytest.raises(InputError, match=r"parameters are float64, .*'H': 4"):
        one.replace(random_case("elman_tanh", I=2, H=4).params)


def test_an_algorithm_object_may_serve_many(online):
    """It is a choice of options: the driver works on a copy."""
    case, algorithm = small_case(), UORO(5)
    before = set(vars(algorithm))
    first, second = (online.run(algorithm, case).params for _ in range(2))
    assert set(vars(algorithm)) == before
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_prepared_parameters(online):
    case = small_case()
    ready = PLAIN.prepare(case.cell, case.params)
    got = run("rtrl", PLAIN, case.cell, ready, case.x, case.dy, case.state, case.lengths)
    want = online.run("rtrl", case, dstate=None)
    online.assert_same(got.params, want.params, 1e-15)


def test_names():
    assert list(ALGORITHMS) == [
        "rtrl", "snap", "uoro", "kf_rtrl", "ok", "e_prop", "rflo", "forward_gradient",
    ]  # fmt: skip
    for name, made in ALGORITHMS.items():
        assert get_algorithm(name).name == name and made.source and made.time and made.memory
        assert made.kind in ("exact", "unbiased", "biased")
    assert get_algorithm("ok", rank=3).rank == 3
    one = SnAp(2)
    assert get_algorithm(one) is one


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: get_algorithm("bptt"), "unknown online algorithm 'bptt'; allowed: rtrl, snap"),
        (lambda: get_algorithm(3), "unknown online algorithm 3"),
        (lambda: get_algorithm("rtrl", n=2), "rtrl does not take n"),
        (lambda: get_algorithm(OK(), rank=2), "ok is built"),
        (lambda: SnAp(0), "n is 0; needs a whole number of at least 1"),
        (lambda: SnAp(1.5), "n is 1.5"),
        (lambda: OK(rank=0), "rank is 0; needs a whole number of at least 1"),
        (lambda: OK(rank=True), "rank is True"),
        (lambda: UORO("x"), "signs are 'x'"),
        (lambda: KFRTRL(-1), "signs are -1"),
    ],
)
def test_bad_algorithms(call, message):
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def started():
    case = small_case()
    return Online("rtrl", PLAIN, case.cell, case.params, 2)


def stepped():
    one = started()
    one.step(np.zeros((2, 2)))
    return one


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: started().gradient(np.zeros((2, 3))), "before the first step"),
        (lambda: started().step(np.zeros((3, 2))), r"x has shape \(3, 2\); needs \(2, 2\)"),
        (lambda: started().step(np.zeros((1, 2, 2))), "x has 3 dimensions"),
        (lambda: started().step(np.zeros((2, 2), np.float32)), "x has dtype float32"),
        (lambda: started().step(np.zeros((2, 2)), {"mask": np.ones(2)}), "takes no inputs"),
        (lambda: started().step(np.zeros((2, 2)), [1]), "inputs is a list"),
        (lambda: started().step(np.zeros((2, 2)), runs=[1, 0]), "runs are int64"),
        (lambda: started().step(np.zeros((2, 2)), runs=[True]), "runs are bool"),
        (lambda: stepped().gradient(np.zeros((2, 4))), r"dy has shape \(2, 4\); needs \(2, 3\)"),
        (lambda: stepped().gradient(None, {"k": np.zeros((2, 3))}), "unknown dstate"),
        (lambda: stepped().gradient(None, {"h": np.zeros((2, 4))}), "dstate h has shape"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"algorithm": "none"}, "unknown online algorithm"),
        ({"target": get_target("reference")}, "target reference gives no slopes"),
        ({"target": Scan(PLAIN)}, "target scan on plain gives no slopes"),
        ({"cell": "none"}, "unknown cell"),
        ({"params": {}}, "is missing"),
        ({"x": np.zeros((4, 2))}, "x has 2 dimensions"),
        ({"x": np.zeros((0, 2, 2))}, "x has shape"),
        ({"upstream": np.zeros((5, 2, 3))}, "upstream has shape"),
        ({"upstream": np.zeros((4, 2, 5))}, r"upstream has shape \(4, 2, 5\); needs \(4, 2, 3\)"),
        ({"upstream": lambda t, y: y[:1]}, "dy has shape"),
        ({"lengths": [5, 1]}, "a length is 5"),
        ({"state": {"k": np.zeros((2, 3))}}, "unknown state"),
        ({"dstate": {"k": np.zeros((2, 3))}}, "unknown dstate"),
        ({"inputs": {"mask": np.ones((3, 2))}}, "takes no inputs"),
        ({"inputs": [1]}, "inputs is a list"),
    ],
)
def test_bad_runs(change, message):
    case = small_case()
    given = {
        "algorithm": "rtrl",
        "target": PLAIN,
        "cell": case.cell,
        "params": case.params,
        "x": case.x,
        "upstream": case.dy,
    }
    with pytest.raises(InputError, match=message) as raised:
        run(**(given | change))
    assert "\n" not in str(raised.value)


def test_linearise_refuses_another_tape():
    case = small_case()
    other = get_target("reference").forward(*case.forward_arguments())
    with pytest.raises(InputError, match="needs the tape of a forward of target plain"):
        PLAIN.linearise(other.tape)


def test_a_layer_is_refused_by_name():
    case = small_case()
    with pytest.raises(InputError, match="Recurrent is a layer; an online algorithm takes a cell"):
        run("rtrl", PLAIN, Recurrent("lstm", 3), case.params, case.x, case.dy)


@pytest.mark.parametrize("target", [None, "cpu", object()])
def test_what_is_no_target(target):
    case = small_case()
    with pytest.raises(InputError, match=r"target is .*; needs an object, as get_target makes it"):
        run("rtrl", target, case.cell, case.params, case.x, case.dy)


def test_parameters_prepared_for_another_cell():
    case = small_case("gru")
    for cell in ("lstm", "lstm[projection=true]"):  # the latter has a width more
        with pytest.raises(InputError, match=r"were prepared for gru, not for lstm"):
            Online("rtrl", PLAIN, cell, PLAIN.prepare("gru", case.params), 2)
    one = Online("rtrl", PLAIN, "gru", case.params, 2)
    with pytest.raises(InputError, match="were prepared for li_gru, not for gru"):
        one.replace(PLAIN.prepare("li_gru", random_case("li_gru", I=2, H=3).params))


class Steps:
    """The plain target, counting its forward calls."""

    def __init__(self):
        self.calls = 0

    def __getattr__(self, name):
        return getattr(PLAIN, name)

    def forward(self, *arguments):
        self.calls += 1
        return PLAIN.forward(*arguments)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dstate": {"k": np.zeros((2, 3))}}, "unknown dstate"),
        ({"dstate": {"h": np.zeros((1, 3))}}, "dstate h has shape"),
        ({"upstream": np.zeros((4, 2, 3), np.float32)}, "upstream has dtype float32"),
        ({"upstream": None}, "upstream has dtype object"),
        ({"x": np.zeros((4, 2, 2), np.float32)}, "x has dtype float32"),
        ({"inputs": {"mask": np.zeros((4, 2))}}, "takes no inputs"),
    ],
)
def test_nothing_runs_where_something_is_wrong(change, message):
    case, target = small_case(), Steps()
    given = {"x": case.x, "upstream": case.dy} | change
    with pytest.raises(InputError, match=message):
        run("rtrl", target, case.cell, case.params, **given)
    assert target.calls == 0


@pytest.mark.parametrize(
    "upstream, message",
    [
        (lambda t, y: (1.0, y, y), "upstream gave 3 values; needs dy or"),
        (lambda t, y: None, r"upstream gave no dy for step 0; needs \(2, 3\)"),
        (lambda t, y: (1.0, None), "upstream gave no dy for step 0"),
    ],
)
def test_what_an_upstream_must_not_give(upstream, message, online):
    with pytest.raises(InputError, match=message):
        online.run("rtrl", small_case(), upstream=upstream)


def test_an_input_may_be_left_out_as_none(online):
    case = random_case("clockwork", T=3, B=2, I=2, H=4, seed=1, ragged=False)
    (name,) = [one.name for one in get_cell("clockwork").spec.inputs]
    want = online.run("rtrl", case, inputs=None)
    online.assert_same(online.run("rtrl", case, inputs={name: None}).params, want.params)
    one = Online("rtrl", PLAIN, case.cell, case.params, 2, case.state)
    np.testing.assert_array_equal(one.step(case.x[0], {name: None}), want.y[0])


@pytest.mark.parametrize("make", [UORO, KFRTRL, OK, ForwardGradient])
@pytest.mark.parametrize(
    "signs", [lambda shape: np.ones(7), lambda shape: 1.0, lambda shape: np.full(shape, 0.5)]
)
def test_signs_are_checked(make, signs, online):
    """Broadcast over a batch, or of another size than 1, they would bias the mean."""
    with pytest.raises(InputError, match=r"signs gave .* need 1 or -1 in the shape"):
        online.run(make(signs=signs), small_case())


def test_sparse_is_a_truth():
    with pytest.raises(InputError, match="sparse is 'no'; needs True or False"):
        SnAp(1, sparse="no")


@pytest.mark.parametrize("power", [-60, 60])
def test_scales_balance_beyond_the_squares_of_float32(power):
    """Norms of 10^±24 are numbers of float32; their squares are not."""
    large = np.full((2, 3), 1.5, np.float32) * np.float32(2.0) ** (power + 20)
    small = np.full((2, 3), 1.5, np.float32) * np.float32(2.0) ** power
    got = balance(large, small)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, 2.0**10, rtol=1e-6)
