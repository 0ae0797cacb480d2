"""The CPU target beyond verify: bits, threads, forks, layouts, NaN and inf, reuse."""

import multiprocessing
import threading
from dataclasses import replace

import numpy as np
import pytest

from rnnbench import cell_names, get_cell, get_target
from rnnbench.conformance.features import representatives
from rnnbench.conformance.kernel_checks import everything
from rnnbench.cpu.target import frame_of
from rnnbench.params import random_case

# The drivers do not know cells: one for each feature they have code for, and two that people use.
MASKED = "lstm[projection=True,zoneout=True,recurrent_dropout=True]"
CELLS = [*representatives(), "gru", "lstm", MASKED]


def big(cell, dtype=np.float32):
    """Large enough for several tiles, blocks and threads."""
    return random_case(cell, T=7, B=13, I=21, H=67, dtype=dtype, seed=11)


def same_bits(a: dict, b: dict) -> bool:
    return all(a[k].tobytes() == b[k].tobytes() for k in a)


def child(cell, queue):
    queue.put(everything(get_target("cpu", threads=2), big(cell)))


@pytest.fixture
def eager(monkeypatch):
    """Share out even small work."""
    monkeypatch.setattr("rnnbench.cpu.frame.WORTH_A_THREAD", 1)
    frame_of.cache_clear()
    yield
    frame_of.cache_clear()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", CELLS)
def test_same_bits_for_any_number_of_threads_and_any_run(cell, dtype, eager):
    one = everything(get_target("cpu", threads=1), big(cell, dtype))
    for threads in (1, 2, 3, 16):
        assert same_bits(one, everything(get_target("cpu", threads=threads), big(cell, dtype)))


@pytest.mark.parametrize("H", [13, 30, 67])
@pytest.mark.parametrize("cell", [*CELLS, "lem"])
def test_one_sequence(cell, H, eager):
    """The few sums of one narrow row are several each: by H alone, and none past its end."""
    case = random_case(cell, T=7, B=1, I=21, H=H, dtype=np.float64, seed=11)
    for length in (7, 4, 0):
        case = replace(case, lengths=np.array([length]))
        one = everything(get_target("cpu", threads=1), case)
        for threads in (2, 3, 16):
            assert same_bits(one, everything(get_target("cpu", threads=threads), case))
        for name, want in everything(get_target("plain"), case).items():
            np.testing.assert_allclose(one[name], want, rtol=0, atol=1e-12)  # sums of 4·67 numbers


@pytest.mark.parametrize("cell", CELLS)
def test_batch_split_equals_the_whole_batch(cell):
    target, case = get_target("cpu"), big(cell)
    whole = everything(target, case)
    for rows in (slice(0, 5), slice(5, 13)):
        part = everything(
            target,
            replace(
                case,
                x=case.x[:, rows],
                dy=case.dy[:, rows],
                lengths=case.lengths[rows],
                state={k: v[rows] for k, v in case.state.items()},
                dstate={k: v[rows] for k, v in case.dstate.items()},
                inputs={k: v[:, rows] for k, v in case.inputs.items()},
            ),
        )
        for name in ("y", "dx"):
            assert whole[name][:, rows].tobytes() == part[name].tobytes()


def test_two_python_threads_at_once(eager):
    target, cells = get_target("cpu", threads=2), CELLS[:2] * 2
    want = {cell: everything(target, big(cell)) for cell in cells}
    wrong = []

    def work(cell):
        for _ in range(5):
            if not same_bits(want[cell], everything(target, big(cell))):
                wrong.append(cell)

    workers = [threading.Thread(target=work, args=(cell,)) for cell in cells]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork"
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_computes_too(eager):
    want = everything(get_target("cpu", threads=2), big(CELLS[0]))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(CELLS[0], queue))
    process.start()
    got = queue.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0
    assert same_bits(want, got)


@pytest.mark.parametrize("cell", CELLS)
def test_layouts_and_read_only_arrays(cell):
    """Fortran order, strides and read-only arrays give the same bits and are not written to."""
    target, case = get_target("cpu"), random_case(cell, seed=13)

    def odd(array):
        if not array.shape:
            return array
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype, order="F")
        view = wide[..., ::2]
        view[...] = array
        view.flags.writeable = False
        return view

    strange = replace(
        case,
        params={k: odd(v) for k, v in case.params.items()},
        x=odd(case.x),
        dy=odd(case.dy),
        state={k: odd(v) for k, v in case.state.items()},
        dstate={k: odd(v) for k, v in case.dstate.items()},
        inputs={k: odd(v) for k, v in case.inputs.items()},
        lengths=odd(case.lengths),
    )
    assert same_bits(everything(target, case), everything(target, strange))
    np.testing.assert_array_equal(strange.x, case.x)


@pytest.mark.parametrize("cell", CELLS)
def test_nan_reaches_what_depends_on_it_and_nothing_else(cell):
    target, case = get_target("cpu"), random_case(cell, seed=14, ragged=False)
    x = case.x.copy()
    x[2, 1, 0] = np.nan
    clean, y = everything(target, case)["y"], everything(target, replace(case, x=x))["y"]
    want = everything(get_target("reference"), replace(case, x=x))["y"]
    assert np.isnan(want[2:, 1]).any(axis=1).all()  # a clock may keep units from it
    np.testing.assert_array_equal(np.isnan(y), np.isnan(want))
    np.testing.assert_array_equal(y[:2], clean[:2])
    np.testing.assert_array_equal(y[:, [0, 2]], clean[:, [0, 2]])


def poisoned(case, where, value):
    """A copy of a case with one number replaced."""
    case = replace(
        case,
        x=case.x.copy(),
        params={k: v.copy() for k, v in case.params.items()},
        state={k: v.copy() for k, v in case.state.items()},
    )
    first = next(iter(case.state.values()))
    places = {
        "x": (case.x, (1, 0, 1)),
        "padding": (case.x, (4, 2, 1)),
        "state": (first, (0, 1)),
        "state of an empty row": (first, (1, 1)),
    }
    array = case.params.get(where)
    array, index = places.get(where) or (array, tuple(min(3, n - 1) for n in array.shape))
    array[index] = value
    return case


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("cell", CELLS)
def test_nan_and_inf_behave_as_in_the_reference(cell, value):
    """In every output and every gradient, with ragged lengths and an empty row."""
    base = replace(random_case(cell, seed=15), lengths=np.array([5, 0, 3]))
    for where in ("x", "padding", "state", "state of an empty row", *base.params):
        case = poisoned(base, where, value)
        got = everything(get_target("cpu"), case)
        for name, want in everything(get_target("reference"), case).items():
            same = np.isnan(got[name]) == np.isnan(want)
            assert same.all(), (where, name)
            finite = np.isfinite(want)
            np.testing.assert_array_equal(got[name][~finite], want[~finite])
            np.testing.assert_allclose(got[name][finite], want[finite], rtol=1e-12, atol=1e-12)


def test_a_tape_serves_twice_and_results_are_read_only():
    target, case = get_target("cpu"), random_case(CELLS[-1], seed=18)
    y, states, tape = target.forward(*case.forward_arguments())
    first = target.backward(tape, case.dy, case.dstate)
    again = target.backward(tape, case.dy, case.dstate)
    assert same_bits(first.params | {"x": first.x}, again.params | {"x": again.x})
    assert not y.flags.writeable
    assert not states["h"].flags.writeable


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("M", "K", "N"), [(1, 1, 1), (7, 300, 65), (13, 5, 130), (3, 517, 16)])
def test_matmul(M, K, N, dtype):
    rng = np.random.default_rng(19)
    a, b = rng.uniform(-1, 1, (M, K)).astype(dtype), rng.uniform(-1, 1, (K, N)).astype(dtype)
    want = a.astype(np.float64) @ b.astype(np.float64)
    got = get_target("cpu").matmul(a, b)
    assert got.dtype == dtype
    # a sum of K products rounds at most K times (Higham 2002, section 3.1)
    assert np.abs(got - want).max() <= K * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b)).max()


TRANSFORMED = [n for n in cell_names() if any(p.transform for p in get_cell(n).spec.parameters)]


@pytest.mark.parametrize("cell", TRANSFORMED)
def test_large_transformed_matrices(cell):
    """From 256 KB on NumPy computes M − Mᵀ in place of a temporary, and gives it columns first."""
    case = random_case(cell, T=2, B=1, I=3, H=256, dtype=np.float32, seed=5, ragged=False)
    got, want = (everything(get_target(name), case) for name in ("cpu", "plain"))
    for name, value in want.items():
        assert got[name].flags.c_contiguous, name
        # a sum of 256 products, each rounded: 256 eps
        assert np.abs(got[name] - value).max() <= 3e-5 * max(1, np.abs(value).max()), name


@pytest.mark.parametrize("sizes", [{"B": 1}, {"T": 1}, {"T": 1, "B": 1}, {}])
@pytest.mark.parametrize("turn", [lambda a: a, lambda a: a[::-1], lambda a: a[:, ::-1]])
def test_x_and_dy_of_any_strides(sizes, turn):
    """Reversed, spread out, and with an axis of length 1, whose stride says nothing."""
    case = random_case("gru", **({"T": 9, "B": 5} | sizes), I=5, H=16, dtype=np.float32, seed=3)
    whole = replace(case, x=turn(case.x).copy(), dy=turn(case.dy).copy())
    wide = [np.repeat(a, 2, axis=1)[:, ::2] for a in (case.x, case.dy)]
    variants = [(case.x, case.dy), wide]
    if sizes.get("B") == 1:
        variants.append([np.ascontiguousarray(a[:, 0])[:, None] for a in (case.x, case.dy)])
    want = everything(get_target("cpu"), whole)
    for x, dy in variants:
        got = everything(get_target("cpu"), replace(case, x=turn(x), dy=turn(dy)))
        assert same_bits(got, want)
