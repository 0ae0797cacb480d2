"""The reversible pair of the reference: exact inverses, gradients by the complex step."""

from fractions import Fraction

import numpy as np
import pytest

import rnnbench_reference as ref
from rnnbench_reference import reversible
from rnnbench_reference.fixed_point import ONE, divide, grow, multiply, shrink
from rnnbench_reference.sizes import shape_of

T, B, I, H = 4, 3, 2, 3
LENGTHS = np.array([4, 0, 2])
STEP = 1e-30
SIGMOID = ref.get_cell("elman_tanh", activation="sigmoid")
FORGETS = [None, 0.7, SIGMOID]
EVERY_FORGET = pytest.mark.parametrize("forget", FORGETS, ids=["additive", "number", "gate"])
EVERY_CELL = pytest.mark.parametrize("cell", ["gru", "lstm", "elman_tanh", "mut3"])


def pair_case(cell, forget, steps=T, seed=0):
    """params, x, state, dy, dstate."""
    cell, sizes = ref.get_cell(cell), {"I": I, "H": H}
    rng = np.random.default_rng(seed)
    parts = {"candidate": cell}
    if not isinstance(forget, float | None):
        parts |= {f"forget.{name}": forget for name in cell.states}
    params = {
        f"{stream}.{part}.{name}": rng.standard_normal(shape_of(text, sizes)) * 0.7
        for stream in reversible.PAIR
        for part, made in parts.items()
        for name, text in made.shapes.items()
    }
    names = [f"{stream}.{name}" for stream in reversible.PAIR for name in cell.states]
    state, dstate = ({n: rng.standard_normal((B, H)) for n in names} for _ in range(2))
    return (
        params,
        rng.standard_normal((steps, B, I)),
        state,
        rng.standard_normal((steps, B, 2 * H)),
        dstate,
    )


# -- one number -----------------------------------------------------------------------------------


@pytest.mark.parametrize("there, back", [(shrink, grow), (multiply, divide)])
def test_products_are_undone(there, back):
    """300 in a chain, something added each time, and back to the number and an empty buffer."""
    rng = np.random.default_rng(1)
    factors = [int(z) for z in rng.integers(ONE >> 3, ONE + 1, 300)]
    added = [int(a) for a in rng.integers(-(2**40), 2**40, 300)]
    k, buffer, path = -123456789, 0, []
    for z, a in zip(factors, added, strict=True):
        path.append((k, buffer))
        k, buffer = there(k, z, buffer)
        k += a
    for z, a in zip(reversed(factors), reversed(added), strict=True):
        k, buffer = back(k - a, z, buffer)
        assert (k, buffer) == path.pop()
    assert (k, buffer) == (-123456789, 0)


def test_a_lost_digit_of_the_buffer_leads_elsewhere():
    rng = np.random.default_rng(2)
    for z in rng.integers(ONE >> 3, ONE >> 1, 50):  # at least two numbers round alike
        product, buffer = shrink(int(rng.integers(2**40)), int(z), 7)
        assert grow(product, int(z), buffer + 1) != grow(product, int(z), buffer)


def test_how_far_a_product_is_off():
    """Rounded: by half of one. Algorithm 1: by less than the factor, in units of its last bit."""
    rng = np.random.default_rng(3)
    worst = {shrink: Fraction(0), multiply: Fraction(0)}
    for z, k, buffer in rng.integers(1, [ONE, 2**50, 2**40], (300, 3)).tolist():
        for product in worst:
            off = abs(product(k, z, buffer)[0] - Fraction(k * z, ONE))
            worst[product] = max(worst[product], off)
            assert off <= (Fraction(1, 2) if product is shrink else z)
    assert worst[multiply] > 1000  # which is why it is not used


@pytest.mark.parametrize("z", [0.6, 0.9])
def test_bits_of_the_buffers(z):
    """2(1-z) a product where it is rounded, log2(1/z) in algorithm 1; 600 of them, chance ±5 %."""
    rng, whole = np.random.default_rng(4), round(z * ONE)
    bits = {}
    for name, product in {"rounded": shrink, "algorithm 1": multiply}.items():
        k, buffer = 0, 0
        for a in rng.integers(-(2**45), 2**45, 600).tolist():
            k, buffer = product(k + a, whole, buffer)
        bits[name] = buffer.bit_length() / 600
    assert bits["rounded"] == pytest.approx(2 * (1 - z), abs=0.05)
    assert bits["algorithm 1"] == pytest.approx(np.log2(1 / z), abs=0.05)


# -- the pair -------------------------------------------------------------------------------------


@EVERY_CELL
@EVERY_FORGET
def test_inverse_finds_every_state(cell, forget):
    params, x, state, _, _ = pair_case(cell, forget)
    run = reversible.forward(cell, params, x, state, LENGTHS, None, forget)
    found, left = reversible.inverse(run.tape)
    for t, states in zip(reversed(range(T)), found, strict=True):
        for name, value in states.items():
            np.testing.assert_array_equal(value, run.states[name][t])
    assert not any(k for held in left.values() for k in held.flat)
    used = sum(k.bit_length() for held in run.buffers.values() for k in held.flat)
    assert (used == 0) == (forget is None)


@pytest.mark.parametrize("cell", ["gru", "elman_tanh"])
@EVERY_FORGET
def test_inverse_over_hundreds_of_steps(cell, forget):
    params, x, state, _, _ = pair_case(cell, forget, 200, seed=5)
    run = reversible.forward(cell, params, x, state, [200, 0, 120], None, forget, fraction_bits=40)
    found, left = reversible.inverse(run.tape)
    for name, value in found[-1].items():
        np.testing.assert_array_equal(value, run.states[name][0])
    assert not any(k for held in left.values() for k in held.flat)


@EVERY_CELL
@EVERY_FORGET
def test_gradient_by_the_complex_step(cell, forget):
    """Without rounding; an imaginary step of 1e-30 has no truncation error."""
    params, x, state, dy, dstate = pair_case(cell, forget, seed=6)
    rest = (LENGTHS, None, forget, 3, None)
    run = reversible.forward(cell, params, x, state, *rest)
    grads = reversible.backward(run.tape, dy, dstate)
    rng = np.random.default_rng(7)
    moved = params | {f"state {n}": v for n, v in state.items()} | {"x": x}
    have = grads.params | {f"state {n}": v for n, v in grads.state.items()} | {"x": grads.x}
    for name in moved:
        along = rng.standard_normal(moved[name].shape)
        at = {n: v.astype(complex) for n, v in moved.items()}
        at[name] = at[name] + 1j * STEP * along
        begun = {n: at[f"state {n}"] for n in state}
        run = reversible.forward(cell, {n: at[n] for n in params}, at["x"], begun, *rest)
        loss = (run.y * dy).sum() + sum((run.states[n][-1] * d).sum() for n, d in dstate.items())
        want = loss.imag / STEP
        scale = np.abs(have[name] * along).sum()
        assert abs((have[name] * along).sum() - want) <= 1e-13 * scale, name
        assert abs((have[name] * along).sum() * 1.001 - want) > 1e-13 * scale or scale == 0, name


@EVERY_FORGET
def test_rounding_moves_results_by_what_it_rounds(forget):
    """40 bits after the point: 1e-12 a step; gradients, taken straight through, as far."""
    params, x, state, dy, dstate = pair_case("gru", forget, seed=8)
    runs = [
        reversible.forward("gru", params, x, state, LENGTHS, None, forget, 3, bits)
        for bits in (40, None)
    ]
    for name, exact in runs[1].states.items():
        np.testing.assert_allclose(runs[0].states[name], exact, atol=2e-7)
    rounded, exact = (reversible.backward(run.tape, dy, dstate) for run in runs)
    for name, g in exact.params.items():
        np.testing.assert_allclose(rounded.params[name], g, atol=1e-5)
