"""The CPU target's calls: blocks of time, memory, prepared parameters, no tape, teams."""

import threading
import time
import tracemalloc

import numpy as np
import pytest

from rnnbench import InputError, get_target
from rnnbench.conformance.features import representatives
from rnnbench.conformance.kernel_checks import everything
from rnnbench.cpu import frame, layout, target
from rnnbench.cpu.jit import Kernel
from rnnbench.cpu.memory import Recycler
from rnnbench.cpu.native import NOTHING, barrier, fetch_add, word
from rnnbench.cpu.threads import Alone, team_of
from rnnbench.params import random_case
from rnnbench.spec import MATRIX

CELLS = [*representatives(), "gru", "lstm"]


def same_bits(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


@pytest.fixture
def anew(monkeypatch):
    """A call that sets constants of frame.py and layout.py; what they made goes at the end."""

    def forget():
        for cached in (target.frame_of, target.forward_layout, target.backward_layout):
            cached.cache_clear()

    def change(**values):
        for name, value in values.items():
            monkeypatch.setattr(layout if name.endswith("ROWS") else frame, name, value)
        forget()

    yield change
    forget()


@pytest.mark.parametrize("cell", CELLS)
def test_blocks_of_time_change_no_bit(cell, anew):
    """One block, blocks that divide T and blocks that do not; one thread and several."""
    case = random_case(cell, T=11, B=5, I=9, H=35, dtype=np.float32, seed=21)
    whole = everything(get_target("cpu", threads=1), case)
    for rows in (5, 15, 20, 27):
        anew(FORWARD_ROWS=rows, BACKWARD_ROWS=rows + 3, WORTH_A_THREAD=1, TALL=2)
        for threads in (1, 3):
            assert same_bits(whole, everything(get_target("cpu", threads=threads), case))


@pytest.mark.parametrize("limit", [0, 1 << 40], ids=["units", "rows"])
def test_any_split_of_rows_and_units_gives_the_same_bits(limit, anew):
    """Threads that share out the units, the rows, and (4 threads, few rows) both."""
    case = random_case("gru_reset_before", T=4, B=7, I=5, H=150, dtype=np.float32, seed=22)
    whole = everything(get_target("cpu", threads=1), case)
    anew(LEVEL_2=limit, WORTH_A_THREAD=1, TALL=3)
    for threads in (2, 3, 4, 6):
        assert same_bits(whole, everything(get_target("cpu", threads=threads), case))


# -- memory ------------------------------------------------------------------------------------


def test_memory_is_used_again_once_nobody_looks():
    recycler = Recycler()
    first = recycler.take(1000)
    place, held = first.address, first.view((10,), np.float32, 64)
    del first
    assert recycler.take(1000).address != place  # held
    del held
    assert recycler.take(1000).address == place
    assert place % 64 == 0
    blocks = []
    for k in range(recycler.FORGET + 2):  # other sizes: what long lies unused is let go
        blocks.append(recycler.take(2000 + k))
    assert [block.size for block in recycler.kept] == [2000 + k for k in range(len(blocks))]


def test_a_training_loop_allocates_no_more_than_two_sets_of_arrays():
    """The usual loop: the last step's tape is still held while the next one is made."""
    ours, case = get_target("cpu"), random_case("gru", seed=29)
    places = set()
    for _ in range(30):
        run = ours.forward(*case.forward_arguments())
        gradients = ours.backward(run.tape, case.dy)
        places |= {run.tape.kept.address, gradients.x.ctypes.data, run.tape.sources.address}
    assert len(places) <= 6


def test_results_and_tapes_outlive_later_calls():
    ours = get_target("cpu")
    cases = [random_case("lstm", H=16, seed=seed) for seed in (23, 24)]
    run = ours.forward(*cases[0].forward_arguments())
    y = run.y.copy()
    gradients = ours.backward(run.tape, cases[0].dy)
    dW = gradients.params["W"].copy()
    for _ in range(3):
        everything(ours, cases[1])
    assert run.y.tobytes() == y.tobytes()
    assert gradients.params["W"].tobytes() == dW.tobytes()
    again = ours.backward(run.tape, cases[0].dy)
    assert again.params["W"].tobytes() == dW.tobytes()


def test_nothing_is_allocated_after_the_first_calls():
    """But small objects: the arrays of a call at this size take 5 MB."""
    ours = get_target("cpu")
    case = random_case("lstm", T=20, B=16, I=128, H=128, dtype=np.float32, seed=25, ragged=False)

    def call():
        run = ours.forward(*case.forward_arguments())
        return run, ours.backward(run.tape, case.dy)

    call()
    held = call()
    del held
    tracemalloc.start()
    try:
        held = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    size = sum(a.nbytes for a in held[1].params.values())
    assert size > 500_000


@pytest.mark.parametrize("cell", ["lstm", "gru", "scrn"])
def test_a_tape_holds_what_the_spec_says(cell):
    """State histories, products and saves; beside them x and the matrices, of which it must have
    copies. Widths are whole vectors here, and lines of 64 bytes."""
    case = random_case(cell, T=9, B=4, I=64, H=64, dtype=np.float64, seed=26, ragged=False)
    tape = get_target("cpu").forward(*case.forward_arguments()).tape
    spec, sizes, rows = tape.problem.spec, tape.problem.sizes, 9 * 4
    numbers = sum((rows + 4) * sizes[s.width] for s in spec.states)
    for stage in spec.stages:
        numbers += rows * sizes[stage.width] * (len(stage.products) + len(stage.saves))
    numbers += case.x.size + sum(
        case.params[p.name].size for p in spec.parameters if p.kind == MATRIX
    )
    assert tape.sources.size + tape.kept.size == numbers * 8


# -- prepared parameters, no tape -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["cpu", "plain", "reference"])
@pytest.mark.parametrize("cell", ["gru", "antisymmetric_rnn", "lstm[projection=True]", "sru"])
def test_prepared_parameters_give_the_same_bits(cell, name):
    ours, case = get_target(name), random_case(cell, I=7, H=7, seed=27)
    want = everything(ours, case)
    params = {k: v.copy() for k, v in case.params.items()}
    ready = ours.prepare(cell, params)
    for v in params.values():
        v[...] = 0  # arrays changed later change nothing
    for tape in (False, True, False, True):
        run = ours.forward(cell, ready, *case.forward_arguments()[2:], tape=tape)
        assert run.y.tobytes() == want["y"].tobytes()
        assert (run.tape is None) is not tape
    gradients = ours.backward(run.tape, case.dy, case.dstate)
    for k, v in gradients.params.items():
        assert v.tobytes() == want[f"d{k}"].tobytes()


def test_prepared_parameters_are_refused_elsewhere():
    ours, case = get_target("cpu"), random_case("gru", seed=28)
    ready = ours.prepare("gru", case.params)

    def refuses(message, target, cell, x):
        with pytest.raises(InputError, match=message):
            target.forward(cell, ready, x)

    refuses("prepared by another target", get_target("plain"), "gru", case.x)
    refuses("prepared for gru, not for lstm", ours, "lstm", case.x)
    refuses("x has I=3; the prepared parameters have 4", ours, "gru", case.x[:, :, :3])
    refuses("are float64, x is float32", ours, "gru", case.x.astype(np.float32))
    with pytest.raises(InputError, match="parameter 'R' of gru is missing"):
        ours.prepare("gru", {k: v for k, v in case.params.items() if k != "R"})
    mixed = case.params | {"b": case.params["b"].astype(np.float32)}
    with pytest.raises(InputError, match="is float32, W is float64; give one dtype"):
        ours.prepare("gru", mixed)
    with pytest.raises(InputError, match="params is a list"):
        ours.prepare("gru", [])


# -- teams ----------------------------------------------------------------------------------------


@Kernel
def count(kind, table, part):
    """Word 4 + part: how often a part ran; word 2: how often a barrier let somebody too early."""
    for turn in range(word(table, 1)):
        fetch_add(table + 8 * 3, 1)
        barrier(word(table, 0), word(table, 20))
        if word(table, 3) < (turn + 1) * word(table, 20):
            fetch_add(table + 8 * 2, 1)
        barrier(word(table, 0), word(table, 20))
    fetch_add(table + 8 * (4 + part), 1)


def test_every_part_runs_once_and_a_barrier_holds_until_all_have_come():
    code = count.address(NOTHING, 2)
    for parts in (1, 2, 5, 2):
        for _ in range(20):
            with team_of(parts) as team:
                table = np.zeros(32, np.int64)
                table[0], table[1], table[20] = team.barriers, 7, parts
                team.run(code, table)
            assert team.parts == parts
            assert table[2] == 0
            np.testing.assert_array_equal(table[4:20], [1] * parts + [0] * (16 - parts))


def test_workers_that_sleep_are_woken():
    code = count.address(NOTHING, 2)
    for pause in (0, 0.02, 0.3):
        time.sleep(pause)
        with team_of(3) as team:
            table = np.zeros(32, np.int64)
            table[0], table[1], table[20] = team.barriers, 2, 3
            team.run(code, table)
        assert table[4:7].tolist() == [1, 1, 1]


def test_who_finds_the_team_busy_works_alone():
    with team_of(2) as first, team_of(2) as second:
        assert first.parts == 2
        assert isinstance(second, Alone)


def test_the_team_does_not_grow_without_end():
    before = threading.active_count()
    for _ in range(3):
        for parts in range(2, 7):
            with team_of(parts):
                pass
    assert threading.active_count() - before <= 6
