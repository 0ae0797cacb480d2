"""What verify asks of networks and of gradient algorithms: that each check can fail, and that the
default selection has every one of them on every target."""

from collections.abc import Mapping

import numpy as np
import pytest

from rnnbench import get_cell, get_target
from rnnbench.conformance import algorithm_checks, network_checks
from rnnbench.conformance.algorithm_checks import CHECKED, check_algorithms
from rnnbench.conformance.kernel_checks import Context
from rnnbench.conformance.network_checks import NETWORKS, WIDER, check_networks, networks_of
from rnnbench.conformance.plants import PLANTS, PlantedTarget
from rnnbench.conformance.verify import select, turn_of
from rnnbench.gradients.schedule import chunked, full
from rnnbench.layers import attention, bidirectional, decoding, encoder_decoder
from rnnbench.layers.stack import Stack
from rnnbench.layers.stepping import Steps

PLAIN = get_target("plain")


def context(target=PLAIN, cell="lstm", dtype="float64"):
    """All networks and algorithms."""
    return Context(target, get_target("reference"), cell, np.dtype(dtype), False, True)


def failing(check, c: Context) -> set[str]:
    """The names of those with a result that fails."""
    return {result.check for result in check(c) if not result.passed}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("plant", ["output-0.1%", "gradient-0.1%", "ignored-length"])
def test_a_mistake_in_the_cell_shows_in_every_network(plant, dtype):
    target = PlantedTarget(PLAIN, PLANTS[plant])
    assert failing(check_networks, context(target, dtype=dtype)) == set(NETWORKS)


@pytest.mark.parametrize("plant", ["output-0.1%", "gradient-0.1%", "ignored-length"])
def test_a_mistake_in_the_cell_shows_in_every_algorithm(plant):
    """But in real-time recurrent learning, for which a planted target offers nothing."""
    target = PlantedTarget(PLAIN, PLANTS[plant])
    assert failing(check_algorithms, context(target)) == set(CHECKED) - {"rtrl"}


# -- mistakes of layers ----------------------------------------------------------------------------


def changed_result(monkeypatch, owner, name, change):
    """The function's result goes through ``change``."""
    right = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **k: change(right(*a, **k)))


def zeros(arrays):
    if isinstance(arrays, Mapping):
        return {name: np.zeros_like(value) for name, value in arrays.items()}
    return np.zeros_like(arrays)


def no_gradient_of_the_stacks_states(monkeypatch):
    change = lambda found: found._replace(state=zeros(found.state))  # noqa: E731
    changed_result(monkeypatch, Stack, "run_backward", change)


def no_residual_gradient(monkeypatch):
    right = Stack.run_backward
    monkeypatch.setattr(Stack, "run_backward", lambda self, *a: right(Stack(self.layers), *a))


def reversed_with_its_padding(monkeypatch):
    monkeypatch.setattr(bidirectional, "reversal", lambda T, lengths: None)


def factors_of_a_product_swapped(monkeypatch):
    right = bidirectional.parted

    def wrong(merge, *rest):
        found = right(merge, *rest)
        return found[::-1] if merge == "product" else found

    monkeypatch.setattr(bidirectional, "parted", wrong)


def nothing_through_what_is_fed(monkeypatch):
    changed_result(monkeypatch, Steps, "backward", lambda found: (zeros(found[0]), *found[1:]))


def nothing_through_the_bridge(monkeypatch):
    changed_result(monkeypatch, encoder_decoder, "cross_backward", zeros)


def nothing_to_the_query(monkeypatch):
    changed_result(monkeypatch, decoding.Seen, "back", zeros)


def all_of_the_source_allowed(monkeypatch):
    changed_result(monkeypatch, encoder_decoder, "allowed_steps", np.ones_like)


def softmax_without_its_mean(monkeypatch):
    monkeypatch.setattr(attention, "softmax_backward", lambda w, d, _: w * d)


ATTENTIVE = {"additive attention", "dot attention", "input feeding"}
# mistake -> the networks in which it shows
MISTAKES = {
    no_gradient_of_the_stacks_states: {"stacked", "residual", "bidirectional"},
    no_residual_gradient: {"residual"},
    reversed_with_its_padding: {"bidirectional", "bidirectional product"},
    factors_of_a_product_swapped: {"bidirectional product"},
    nothing_through_what_is_fed: {"one to many", "additive attention", "input feeding"},
    nothing_through_the_bridge: {"encoder-decoder", "dot attention"} | ATTENTIVE,
    nothing_to_the_query: ATTENTIVE,
    all_of_the_source_allowed: ATTENTIVE,
    softmax_without_its_mean: ATTENTIVE,
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.__name__)
def test_a_mistake_in_a_layer_shows_where_it_is(mistake, monkeypatch):
    assert not failing(check_networks, context(cell="gru"))
    mistake(monkeypatch)
    assert failing(check_networks, context(cell="gru")) == MISTAKES[mistake]


def test_every_network_has_a_mistake_of_its_own():
    assert set().union(*MISTAKES.values()) == set(NETWORKS)


# -- mistakes of algorithms ------------------------------------------------------------------------


def planted_schedule(name, schedule):
    return name, algorithm_checks.by_schedule(schedule)


def wrong_result(name):
    """One gradient wrong by 0.1 %."""
    right = CHECKED[name][0]

    def got(c, case):
        found = right(c, case)
        return found | {"dR": found["dR"] * 1.001}

    return name, got


@pytest.mark.parametrize(
    "name, got",
    [
        planted_schedule("truncated", lambda T: chunked(T, 3)),
        planted_schedule("truncated", full),
        planted_schedule("reweighted", full),
        planted_schedule("sqrt checkpointing", lambda T: chunked(T, 2)),
        planted_schedule("optimal checkpointing", lambda T: chunked(T, T - 1)),
        planted_schedule("revolve", lambda T: chunked(T, 1)),
        *map(wrong_result, CHECKED),
    ],
)
def test_a_mistake_in_an_algorithm_shows_there_alone(name, got, monkeypatch):
    assert not failing(check_algorithms, context())
    monkeypatch.setitem(CHECKED, name, (got, CHECKED[name][1]))
    assert failing(check_algorithms, context()) == {name}


# -- what the default selection takes --------------------------------------------------------------


def test_every_network_and_every_algorithm_has_its_turn_on_every_target():
    """In the default selection; a thorough check takes all of a cell's."""
    taken = {"networks": set(), "algorithms": set()}
    targets = ("plain", "cpu", "cuda")
    for unit in select([], [], []):
        if unit.target in targets:
            names, turn = networks_of(unit.cell), turn_of(unit)
            taken["networks"].add((unit.target, names[turn % len(names)]))
            algorithms = [n for n in CHECKED if n != "rtrl" or unit.target != "cuda"]
            taken["algorithms"].add((unit.target, algorithms[turn % len(algorithms)]))
    assert taken["networks"] == {(t, name) for t in targets for name in NETWORKS}
    wanted = {(t, name) for t in targets for name in CHECKED} - {("cuda", "rtrl")}
    assert taken["algorithms"] == wanted


@pytest.mark.parametrize("cell", ["lstm[projection=true]", "clockwork", "phased_lstm", "t_lstm"])
def test_cells_with_further_widths_and_inputs_are_in_every_network(cell):
    assert networks_of(cell) == list(NETWORKS)
    assert {result.check for result in check_networks(context(cell=cell))} == set(NETWORKS)
    assert not failing(check_networks, context(cell=cell))


def test_the_turn_alone_is_checked_unless_thorough(monkeypatch):
    for turn in range(2 * len(NETWORKS)):
        c = Context(PLAIN, get_target("reference"), "gru", np.dtype("float64"), False, turn=turn)
        assert len({result.check for result in check_networks(c)}) == 1
        assert len({result.check for result in check_algorithms(c)}) == 1
    ran = set()
    for name, arrays in NETWORKS.items():
        counted = lambda c, name=name, arrays=arrays: (ran.add(name), arrays(c))[1]  # noqa: E731
        monkeypatch.setitem(network_checks.NETWORKS, name, counted)
    list(check_networks(context(cell="gru")))
    assert ran == set(NETWORKS)


def test_a_cell_that_adds_x_to_its_state_is_in_all_but_the_wider_ones():
    cells = {u.cell for u in select([], [], [], everything=True)}
    narrow = [cell for cell in cells if get_cell(cell).spec.equal_widths]
    for cell in sorted(narrow)[:3]:
        assert not set(networks_of(cell)) & set(WIDER)
        assert not failing(check_networks, context(cell=cell))
