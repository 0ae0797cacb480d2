"""The reversible pair: the way back finds every state, and so the gradients of storing them all."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from rnnbench import cell_names, get_cell, get_target
from rnnbench.conformance.features import representatives
from rnnbench.errors import InputError
from rnnbench.layers.coupling import Coupling
from rnnbench.layers.layer import random_arrays
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.reversible import Reversible
from rnnbench.target import reference_cell
from rnnbench_reference import reversible as reference

T, B, I, H = 5, 4, 3, 4
LENGTHS = np.array([3, 1, 5, 0])
GATE = "elman_tanh[activation=sigmoid]"
FORGETS = [None, 0.7, GATE]
PLAIN = get_target("plain")


def keeps_inputs(cell) -> bool:
    return any(state.width == "I" for state in get_cell(cell).spec.states)


CELLS = [name for name in cell_names() if not keeps_inputs(name)]
EVERY_CELL = pytest.mark.parametrize("cell", CELLS)
SOME_CELLS = pytest.mark.parametrize("cell", [c for c in representatives() if not keeps_inputs(c)])
EVERY_FORGET = pytest.mark.parametrize("forget", FORGETS, ids=["additive", "number", "gate"])


class Case:
    """A layer with all that its calls take."""

    def __init__(self, layer, dtype=np.float64, steps=T, batch=B, size=I, lengths=LENGTHS, seed=0):
        self.layer, self.lengths = layer, lengths
        self.params = layer.random_params(size, dtype, seed)
        self.state = random_arrays(layer.states(batch, size), dtype, [seed, 2])
        self.inputs = random_arrays(layer.inputs(steps, batch, size), dtype, [seed, 3])
        rng = np.random.default_rng(seed)
        width = layer.output_size(size)
        self.x, self.dy = (
            rng.uniform(-1, 1, (steps, batch, w)).astype(dtype) for w in (size, width)
        )
        self.dstate = {n: rng.uniform(-1, 1, v.shape).astype(dtype) for n, v in self.state.items()}

    def forward(self, target=PLAIN, **changes):
        given = {"params": self.params, "x": self.x, "state": self.state} | changes
        given = {"lengths": self.lengths, "inputs": self.inputs} | given
        return self.layer.forward(target, **given)

    def gradients(self, target=PLAIN, **changes):
        run = self.forward(target, **changes)
        return run, named(self.layer.backward(run.tape, self.dy, self.dstate))


def named(gradients):
    """Everything by name."""
    state = {f"state {name}": g for name, g in gradients.state.items()}
    return gradients.params | state | {"x": gradients.x}


def pair(cell, forget=None, size=H, **options):
    cell = get_cell(cell)
    return Reversible(Recurrent(cell, size), forget, **options)


def input_size(cell):
    return H if get_cell(cell).spec.equal_widths else I


def stored(case):
    """The same layer with every step's tape kept."""
    other = Case.__new__(Case)
    vars(other).update(vars(case), layer=replace(case.layer, recompute=False))
    return other


def assert_same_bits(got, want):
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].dtype == value.dtype and got[name].shape == value.shape, name
        assert got[name].tobytes() == value.tobytes(), name


# -- against the reference ----------------------------------------------------------------------


@EVERY_CELL
@EVERY_FORGET
def test_against_the_reference(cell, forget):
    """Equal whole numbers for y and the states: with 20 bits after the point the two sides' sums,
    which differ by 1e-16, round alike. Gradients to 1e-10."""
    size = input_size(cell)
    case = Case(pair(cell, forget, fraction_bits=20), size=size, seed=1)
    run, got = case.gradients()
    want = reference.forward(
        reference_cell(get_cell(cell)), case.params, case.x, case.state, case.lengths, case.inputs,
        forget if isinstance(forget, float | None) else reference_cell(get_cell(forget)),
        fraction_bits=20,
    )  # fmt: skip
    np.testing.assert_array_equal(run.y, want.y)
    empty = LENGTHS == 0
    for name, history in want.states.items():
        np.testing.assert_array_equal(run.state[name][~empty], history[-1][~empty])
        np.testing.assert_array_equal(run.state[name][empty], case.state[name][empty])
    grads = named(reference.backward(want.tape, case.dy, case.dstate))
    assert got.keys() == grads.keys()
    for name, g in grads.items():
        scale = np.abs(g).max()
        np.testing.assert_allclose(got[name], g, rtol=1e-10, atol=1e-10 * scale, err_msg=name)
    wrong = got["first.candidate." + next(iter(get_cell(cell).spec.parameters)).name] * 1.001
    want_one = grads["first.candidate." + next(iter(get_cell(cell).spec.parameters)).name]
    assert not np.allclose(wrong, want_one, rtol=1e-10, atol=0)


# -- the way back -------------------------------------------------------------------------------


@SOME_CELLS
@EVERY_FORGET
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recomputing_has_the_bits_of_storing(cell, forget, dtype):
    layer = pair(cell, forget, fraction_bits=14 if dtype == np.float32 else 30)
    case = Case(layer, dtype, size=input_size(cell), seed=2)
    run, got = case.gradients()
    other, want = stored(case).gradients()
    assert_same_bits({"y": run.y} | run.state, {"y": other.y} | other.state)
    assert_same_bits(got, want)
    assert got["x"][LENGTHS[0] :, 0].any() == False  # noqa: E712
    again = named(layer.backward(run.tape, case.dy, case.dstate))  # a tape serves twice
    assert_same_bits(again, got)


def visited(case, monkeypatch):
    """Every state that the way back stands at, in its order, and the gradients."""
    found, original = [], Coupling.backward

    def watched(self, update, before, dnew):
        found.append({name: k.copy() for name, k in before.items()})
        return original(self, update, before, dnew)

    with monkeypatch.context() as patch:
        patch.setattr(Coupling, "backward", watched)
        run, gradients = case.gradients()
    return found, gradients, run


@pytest.mark.parametrize(
    "cell, forget",
    [("elman_tanh", None), ("elman_tanh", GATE), ("gru", 0.7), ("lstm", GATE)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hundreds_of_steps(cell, forget, dtype, monkeypatch):
    """Every state of 300 steps, of both streams, bit for bit; and so every gradient."""
    bits = (10 if forget is None else 20) if dtype == np.float32 else 40
    lengths = np.array([300, 211])
    case = Case(pair(cell, forget, fraction_bits=bits), dtype, 300, 2, lengths=lengths, seed=3)
    got, gradients, run = visited(case, monkeypatch)
    want, same, _ = visited(stored(case), monkeypatch)
    assert len(got) == len(want) == 600
    for mine, theirs in zip(got, want, strict=True):
        assert_same_bits(mine, theirs)
    assert_same_bits(gradients, same)
    assert np.isfinite(run.y).all()


@SOME_CELLS
def test_pieces_have_the_bits_of_the_whole(cell):
    """States leave as floats and come back: what was forgotten plays no part on the way there."""
    case = Case(pair(cell, GATE), size=input_size(cell), seed=4)
    whole = case.forward()
    first, rest = (
        {n: v[times] for n, v in case.inputs.items()} for times in (slice(0, 2), slice(2, T))
    )
    lengths = np.clip(LENGTHS, 0, 2), np.clip(LENGTHS - 2, 0, T - 2)
    begun = case.forward(x=case.x[:2], lengths=lengths[0], inputs=first)
    ended = case.forward(x=case.x[2:], lengths=lengths[1], inputs=rest, state=begun.state)
    np.testing.assert_array_equal(np.concatenate([begun.y, ended.y]), whole.y)
    assert_same_bits(ended.state, whole.state)
    untaped = case.forward(tape=False)
    assert untaped.tape is None
    np.testing.assert_array_equal(untaped.y, whole.y)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@EVERY_FORGET
def test_on_compiled_kernels(cell, forget):
    """The way back is exact; the numbers are NumPy's to the rounding of sums and of fixed point."""
    case, target = Case(pair(cell, forget, fraction_bits=40), seed=5), get_target("cpu")
    got = case.gradients(target)[1]
    assert_same_bits(got, stored(case).gradients(target)[1])
    for name, value in case.gradients(PLAIN)[1].items():
        np.testing.assert_allclose(got[name], value, rtol=1e-7, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("cell, forget", [("gru", GATE), ("lstm", 0.7), ("elman_tanh", None)])
def test_float32_is_float64_to_its_rounding(cell, forget):
    """20 bits after the point and 24 in all: 1e-6 a step, some steps, some growth."""
    layer = pair(cell, forget, fraction_bits=20)
    single = Case(layer, np.float32, seed=23)
    double = Case(layer, np.float64, seed=23)
    for name in ("x", "dy"):
        setattr(double, name, getattr(single, name).astype(np.float64))
    for name in ("params", "state", "dstate"):
        setattr(double, name, {n: v.astype(np.float64) for n, v in getattr(single, name).items()})
    (run, got), (wide, want) = single.gradients(), double.gradients()
    np.testing.assert_allclose(run.y, wide.y, atol=2e-5)
    for name, g in want.items():
        np.testing.assert_allclose(got[name], g, atol=2e-5 * np.abs(g).max(), err_msg=name)


# -- the gradient -------------------------------------------------------------------------------


@SOME_CELLS
@EVERY_FORGET
def test_gradient_by_directional_differences(cell, forget):
    """Of the fixed-point network itself: truncation 1e-10, rounding 2⁻⁴⁷/1e-5. A gate's factor has
    24 bits, so that the step must be larger: 1e-6, and 3e-8/1e-3 less what cancels."""
    step, limit = (1e-3, 3e-6) if forget == GATE else (1e-5, 1e-7)
    case = Case(pair(cell, forget, fraction_bits=46), size=input_size(cell), seed=6)
    _, gradients = case.gradients()
    rng = np.random.default_rng(7)
    moved = case.params | {f"state {n}": v for n, v in case.state.items()} | {"x": case.x}
    along = {name: rng.standard_normal(v.shape) for name, v in moved.items()}

    def loss(distance):
        at = {name: v + distance * along[name] for name, v in moved.items()}
        state = {name: at[f"state {name}"] for name in case.state}
        run = case.forward(params={n: at[n] for n in case.params}, x=at["x"], state=state)
        end = sum((run.state[name] * d).sum() for name, d in case.dstate.items())
        return (run.y * case.dy).sum() + end

    slope = (loss(step) - loss(-step)) / (2 * step)
    parts = {name: (g * along[name]).sum() for name, g in gradients.items()}
    scale = sum(np.abs(g * along[name]).sum() for name, g in gradients.items())
    assert abs(sum(parts.values()) - slope) < limit * scale
    largest = max(parts, key=lambda name: abs(parts[name]))
    assert abs(sum(parts.values()) + 0.01 * parts[largest] - slope) > limit * scale


@EVERY_FORGET
def test_padding_contributes_nothing(forget):
    """NaN in x, dy and the state of an empty sequence: not a bit changes."""
    case = Case(pair("lstm", forget), seed=8)
    run, want = case.gradients()
    padding = np.arange(T)[:, None] >= LENGTHS
    case.x[padding] = case.dy[padding] = np.nan
    for value in case.state.values():
        value[LENGTHS == 0] = np.nan
    dirty, got = case.gradients()
    assert_same_bits(got, want)
    np.testing.assert_array_equal(dirty.y, run.y)
    assert not dirty.y[padding].any() and not got["x"][padding].any()
    for name, value in dirty.state.items():
        np.testing.assert_array_equal(value[LENGTHS > 0], run.state[name][LENGTHS > 0])
        assert np.isnan(value[LENGTHS == 0]).all()


@EVERY_FORGET
def test_no_step_at_all(forget):
    case = Case(pair("gru", forget), lengths=np.zeros(B, int), seed=9)
    run, gradients = case.gradients()
    assert not run.y.any() and not gradients["x"].any()
    for name, value in case.params.items():
        assert gradients[name].shape == value.shape and not gradients[name].any()
    for name, value in case.dstate.items():
        np.testing.assert_array_equal(gradients[f"state {name}"], value)
        np.testing.assert_array_equal(run.state[name], case.state[name])


def test_arrays_changed_later_change_nothing():
    case = Case(pair("gru", GATE), seed=10)
    run, want = case.gradients()
    dy, dstate = case.dy.copy(), {n: v.copy() for n, v in case.dstate.items()}
    for array in (case.x, *case.params.values(), *case.state.values(), run.y, *run.state.values()):
        array[...] = 0.125
    assert_same_bits(named(case.layer.backward(run.tape, dy, dstate)), want)


# -- memory -------------------------------------------------------------------------------------


def numbers_of(value) -> int:
    """Bytes of all arrays below, x and what the caller gave left out."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(numbers_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(numbers_of, value))
    return numbers_of(vars(value)) if type(value).__module__.startswith("rnnbench.plain") else 0


def kept(tape) -> int:
    inner = tape.inner
    return numbers_of([inner.start, inner.end, inner.steps or []])


@EVERY_FORGET
def test_memory_does_not_grow_with_time(forget):
    """But for the buffer. Storing every step grows as T."""
    layer = pair("elman_tanh", forget, fraction_bits=40)
    sizes = {}
    for steps in (20, 80):
        case = Case(layer, steps=steps, lengths=None, seed=11)
        sizes[steps] = kept(case.forward().tape), kept(stored(case).forward().tape)
    assert sizes[20][0] == sizes[80][0] == 2 * 2 * B * H * 8
    assert sizes[80][1] == pytest.approx(4 * sizes[20][1], rel=0.05)


@pytest.mark.parametrize("forget", [0.7, GATE], ids=["number", "gate"])
def test_peak_memory_of_both_ways(forget):
    """Of a further step: y, dy, x and dx, and the bits of the buffer, at most twice (the stack's
    growth, the copy that the way back takes from). Storing takes many times that."""
    units, per_step = 32, {}
    layer = pair("gru", forget, units)
    for name, one in {"anew": layer, "stored": replace(layer, recompute=False)}.items():
        peaks = {}
        for steps in (20, 20, 60):  # what is made once, in the first call, does not count
            case = Case(one, steps=steps, lengths=None, seed=22)
            tracemalloc.start()
            try:
                one.backward(case.forward().tape)
                peaks[steps] = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        per_step[name] = (peaks[60] - peaks[20]) / 40
    arrays = B * (2 * 2 * units + 2 * I) * 8
    assert per_step["anew"] < 1.1 * arrays + 2 * 3 * (2 * B * units) / 8
    assert per_step["stored"] > 4 * per_step["anew"]


@pytest.mark.parametrize("forget_bits", [1, 3, 8])
def test_bits_of_the_buffer(forget_bits):
    """At most forget_bits a unit, step and stream, and the filling up to bytes; a pair that adds
    keeps none; a number from ½ to 1 costs 2(1−z), here to the chance of 16 000 products."""
    steps, size = 100, 20
    products = 2 * steps * B * size

    def bits(forget, n=forget_bits):
        layer = pair("elman_tanh", forget, size, forget_bits=n, fraction_bits=40)
        case = Case(layer, steps=steps, lengths=None, seed=12)
        return layer.buffer_bits(case.forward().tape)

    filling = 7 * forget_bits * 2 * steps
    assert 0 < bits(GATE) <= forget_bits * products + filling
    assert bits(None) == 0
    found = bits(0.8) - 2 * steps * 3.5  # half of what filling may take, of one weight
    assert found / products == pytest.approx(0.4, abs=0.02)


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 7, -1])
@pytest.mark.parametrize("forget", [0.7, GATE])
def test_a_changed_bit_of_the_buffer_is_noticed(place, forget):
    case = Case(pair("gru", forget, 16), lengths=None, seed=13)
    tape = case.forward().tape
    tape.inner.lost.content[place] ^= 0x80  # the highest bit of a byte is always in use
    with pytest.raises((RuntimeError, InputError)):
        case.layer.backward(tape, case.dy)


@pytest.mark.parametrize("place", [0, -1])
def test_a_dropped_byte_of_the_buffer_is_noticed(place):
    case = Case(pair("gru", 0.7, 16), lengths=None, seed=13)
    tape = case.forward().tape
    del tape.inner.lost.content[place]
    with pytest.raises((RuntimeError, InputError)):
        case.layer.backward(tape, case.dy)


@pytest.mark.parametrize("forget", [None, 0.7])
def test_another_step_on_the_way_back_is_noticed(forget):
    case = Case(pair("gru", forget), seed=14)
    tape = case.forward().tape
    tape.inner.coupling.x[1, 0, 0] += 1e-3
    with pytest.raises(RuntimeError, match="does not end at the initial states"):
        case.layer.backward(tape, case.dy)


def test_a_pair_without_a_buffer_would_not_find_back(monkeypatch):
    """The places among equal products thrown away: the states come back a little wrong."""
    from rnnbench.layers import fixed_point

    case = Case(pair("gru", 0.7), seed=15)
    tape = case.forward().tape
    monkeypatch.setattr(fixed_point.BitStack, "pop", lambda self, bounds: np.zeros_like(bounds))
    with pytest.raises(RuntimeError, match="does not end at the initial states"):
        case.layer.backward(tape, case.dy)


# -- what it is made of -------------------------------------------------------------------------


def test_a_stack_as_candidate_and_a_pair_in_a_stack():
    from rnnbench.layers.stack import Stack

    inside = Reversible(Stack([Recurrent("gru", H), Recurrent("lstm", H)]), GATE)
    assert inside.output_size(I) == 2 * H
    around = Stack([pair("gru", GATE), pair("elman_tanh", 0.7)])
    for layer in (inside, around):
        case = Case(layer, seed=16)
        got = case.gradients()[1]
        assert got.keys() == case.params.keys() | {"x"} | {f"state {n}" for n in case.state}
        assert all(g.any() for g in got.values())
    case = Case(inside, seed=16)
    assert_same_bits(case.gradients()[1], stored(case).gradients()[1])
    named_output = replace(inside, output="0.h")
    other = Case(named_output, seed=16).forward()
    assert not np.array_equal(other.y, case.forward().y)


def test_defaults_of_inputs_count_on():
    """A cell that is given the step's number sees it rise, not 0 in every step."""
    cell = next(c for c in CELLS if any(i.default for i in get_cell(c).spec.inputs))
    case = Case(pair(cell, 0.7), size=input_size(cell), seed=17)
    inputs = {n: a.default(np.float64) for n, a in case.layer.inputs(T, B, I).items() if a.default}
    given = case.gradients(inputs=case.inputs | inputs)[1]
    rest = {n: v for n, v in case.inputs.items() if n not in inputs}
    assert_same_bits(case.gradients(inputs=rest)[1], given)


@EVERY_FORGET
def test_as_data_and_back(forget):
    from rnnbench.layers.describe import layer_from, to_data

    layer = pair("gru", forget, forget_bits=5, fraction_bits=30, recompute=False)
    again = layer_from(to_data(layer))
    assert again.settings().keys() == layer.settings().keys()
    assert_same_bits(Case(again, seed=20).gradients()[1], Case(layer, seed=20).gradients()[1])


@EVERY_FORGET
@pytest.mark.parametrize("k", [1, 3])
def test_chunks_of_a_schedule(forget, k):
    """Chunks that carry gradients give the whole gradient; their forward steps its bits."""
    from rnnbench.gradients.runner import run
    from rnnbench.gradients.schedule import full

    case = Case(pair("gru", forget, fraction_bits=40), seed=21)
    whole, want = case.gradients()
    found = run(
        full(T, k),
        PLAIN,
        case.layer,
        case.params,
        case.x,
        case.dy,
        case.state,
        LENGTHS,
        case.dstate,
    )
    np.testing.assert_array_equal(found.y, whole.y)
    for name, g in named(found).items():
        np.testing.assert_allclose(g, want[name], rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Reversible("gru"), "candidate is a str; needs a layer"),
        (lambda: pair("gru", 0.0), "forget is 0.0; needs a number from 0.125 to below 1"),
        (lambda: pair("gru", 1.0), "forget is 1.0"),
        (lambda: pair("gru", 0.1), "forget is 0.1"),
        (lambda: pair("gru", "nonsense"), "unknown cell 'nonsense'"),
        (lambda: pair("gru", "lstm"), "forget cell lstm has states h, c and 0 per-step inputs"),
        (lambda: pair("gru", 0.7, forget_bits=0), "forget_bits is 0; needs a whole number, 1 to"),
        (lambda: pair("gru", 0.7, forget_bits=17), "forget_bits is 17"),
        (lambda: pair("gru", 0.7, forget_bits=2.0), "forget_bits is 2.0"),
        (lambda: pair("gru", 0.7, fraction_bits=0), "fraction_bits is 0"),
        (lambda: pair("gru", 0.7, recompute=1), "recompute is 1; needs True or False"),
    ],
)
def test_bad_layer(build, message):
    with pytest.raises(InputError, match=message) as raised:
        build()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("cell", [c for c in cell_names() if keeps_inputs(c)])
def test_cells_that_keep_earlier_inputs_are_refused(cell):
    with pytest.raises(InputError, match="keeps earlier inputs as its states"):
        pair(cell)


def test_a_layer_that_sees_later_inputs_is_refused():
    from rnnbench.layers.bidirectional import Bidirectional

    with pytest.raises(InputError, match="candidate is a Bidirectional"):
        Reversible(Bidirectional(Recurrent("gru", H), Recurrent("gru", H)))


def test_what_fixed_point_cannot_hold_is_refused():
    case = Case(pair("elman_tanh", fraction_bits=20), np.float32, 100, lengths=None, seed=18)
    for stream in ("first", "second"):
        case.params[f"{stream}.candidate.b"][...] = 9  # adds nearly 1 at every step
    with pytest.raises(InputError, match=r"state first.h at step 1[56] is 1[56]\.\d+; fixed point"):
        case.forward()
    case.params["first.candidate.b"][1] = np.nan
    with pytest.raises(InputError, match=r"state first.h at step 0 is nan"):
        case.forward()
    with pytest.raises(InputError, match=r"state second.h is 17; .* below 16"):
        case.forward(state={"second.h": np.full((B, H), 17, np.float32)})
    with pytest.raises(InputError, match="fraction_bits is 24; float32 allows 1 to 23"):
        Case(pair("gru", fraction_bits=24), np.float32).forward()
    with pytest.raises(InputError, match=r"forget cell elman_tanh gives -0.* at step 0"):
        Case(pair("gru", "elman_tanh"), seed=19).forward()


def test_a_tape_of_another_layer_is_refused():
    case, other = Case(pair("gru", 0.7)), pair("gru", 0.7)
    tape = case.forward().tape
    with pytest.raises(InputError, match="needs one of this layer's forward"):
        other.buffer_bits(tape)
    with pytest.raises(InputError, match="needs one of this layer's forward"):
        other.backward(tape)
