"""The character language model end to end, small: it learns, repeats itself, scores honestly."""

import math
import warnings
from itertools import product

import numpy as np
import pytest

import rnnbench_reference as reference
from rnnbench import cell_names, get_cell, get_target
from rnnbench.conformance.features import representatives
from rnnbench.errors import InputError, NonFiniteGradient
from rnnbench.tasks import charlm
from rnnbench.tasks import model as parts
from rnnbench.tasks.charlm import evaluate, sample, train
from rnnbench.tasks.model import Settings, initial_model
from rnnbench.tasks.optimise import Adam, cosine_rate
from rnnbench.tasks.text import Vocabulary, python_topics, split

TEXT = python_topics()[:20_000]
CELL = representatives()[0]
TINY = {"cell": CELL, "hidden": 16, "embedding": 8, "batch": 8, "window": 12, "rate": 0.01}
PLAIN = get_target("plain")
# By default these change little within a window as short as a test's: here they take larger steps.
LARGER_STEPS = {
    "phased_lstm": "phased_lstm[r_on=0.5,leak=1]",
    "antisymmetric_rnn": "antisymmetric_rnn[epsilon=1,gamma=0.5]",
    "gated_antisymmetric_rnn": "gated_antisymmetric_rnn[epsilon=1,gamma=0.5]",
    "lipschitz_rnn": "lipschitz_rnn[epsilon=1]",
    "cornn": "cornn[dt=0.9,gamma=1,epsilon=1]",
    "unicornn": "unicornn[dt=1]",
}
VARIANTS = [
    "lstm[projection=True]",
    "gru[biases=0]",
    "qrnn[kernel=3]",
    "mut1[input_projection=False]",
]
FIXED = [n for n in cell_names() if not all(p.trained for p in get_cell(n).spec.parameters)]
CLOCKS = [n for n in cell_names() if get_cell(n).spec.inputs]
CARRYING = [*CLOCKS, *(n for n in representatives() if n not in CLOCKS)]


@pytest.fixture(params=["reference", "cpu"])
def target(request):
    return get_target(request.param)


def untrained(embedding=8, text=TEXT, cell=CELL):
    settings = Settings(cell, hidden=16, embedding=embedding)
    return initial_model(settings, Vocabulary.of(text))


@pytest.mark.parametrize("cell", [*cell_names(), *VARIANTS])
def test_every_cell_learns_what_needs_memory(cell):
    """In this text b, two of five characters, tells nothing of the next: 0.4 bits without memory.
    The first character of a window is guessed, and costs a twelfth of that."""
    I = 16 if get_cell(cell).spec.equal_widths else 8
    settings = {"cell": LARGER_STEPS.get(cell, cell), "embedding": I, "batch": 4, "rate": 0.03}
    settings = Settings(**(TINY | settings), steps=120, carry=False)
    model = train("abcdb" * 200, PLAIN, settings).model
    assert evaluate(model, PLAIN, "b", "abcdb" * 20, settings.window, carry=False).bits < 0.3


def test_prose_costs_less_than_its_frequencies():
    settings = Settings(**(TINY | {"steps": 150, "rate": 0.03}))
    target, seen = get_target("cpu"), []
    training = train(TEXT, target, settings, lambda step, bits: seen.append((step, bits)))
    assert seen == list(enumerate(training.bits, 1))
    vocabulary = training.model.vocabulary
    assert training.bits[0] == pytest.approx(math.log2(len(vocabulary)), rel=0.1)
    shares = np.bincount(vocabulary.encode(TEXT)) / len(TEXT)
    entropy = -(shares * np.log2(np.maximum(shares, 1e-9))).sum()
    assert np.mean(training.bits[-20:]) < entropy - 0.5


@pytest.mark.parametrize("embedding", [0, 8])
def test_a_periodic_text_is_learnt_and_continued(embedding, target):
    text = "abcdb" * 200
    settings = Settings(steps=120, **(TINY | {"embedding": embedding, "rate": 0.03}))
    model = train(text, target, settings).model
    assert evaluate(model, target, text, text[:50]).bits < 0.1
    assert sample(model, target, "abcdbabcdb", 13, 0.2) == "abcdbabcdbabc"


@pytest.mark.parametrize("embedding", [0, 8])
def test_same_seed_same_bits_whatever_the_threads(embedding):
    settings = Settings(steps=8, **(TINY | {"embedding": embedding}))
    first, again = (train(TEXT, get_target("cpu", threads=n), settings) for n in (1, 2))
    assert first.bits == again.bits
    for name, p in first.model.parameters().items():
        assert p.dtype == np.float32
        np.testing.assert_array_equal(again.model.parameters()[name], p)
    other = train(TEXT, get_target("cpu"), Settings(steps=8, seed=1, **TINY))
    assert other.bits != first.bits


@pytest.mark.parametrize(
    "name, cell",
    [*product(["plain"], cell_names() + VARIANTS), *product(["cpu"], representatives())],
)
def test_the_reference_replays_the_first_steps(name, cell):
    I = 16 if get_cell(cell).spec.equal_widths else 8
    settings = Settings(**(TINY | {"cell": cell, "embedding": I, "steps": 4}))
    fast, slow = (train(TEXT, get_target(t), settings).bits for t in (name, "reference"))
    np.testing.assert_allclose(fast, slow, rtol=1e-4)


@pytest.mark.parametrize("cell", FIXED)
def test_what_is_fixed_stays_and_does_not_count(cell):
    """Its gradient is neither used nor part of the norm that is clipped."""
    settings = Settings(**(TINY | {"cell": cell, "steps": 3}))
    start = initial_model(settings, Vocabulary.of(TEXT))
    end = train(TEXT, PLAIN, settings).model
    fixed = {f"cell.{p.name}" for p in get_cell(cell).spec.parameters if not p.trained}
    for name, value in start.parameters().items():
        assert np.array_equal(end.parameters()[name], value) == (name in fixed), name
    sizes = {name: p.size for name, p in start.parameters().items()}
    assert start.parameter_count() == sum(sizes.values())
    assert start.parameter_count(fixed=False) == sum(sizes.values()) - sum(map(sizes.get, fixed))
    tokens = np.zeros((3, 2), int)
    grads = charlm.loss_and_gradients(start, PLAIN, tokens, tokens, None)[1]
    assert grads.keys() == sizes.keys() - fixed


def test_the_head_is_as_wide_as_the_output():
    model = untrained(cell="lstm[projection=True]")
    assert model.outer["weight"].shape == (len(model.vocabulary), 8)
    assert model.cell["P"].shape == (8, 16)


@pytest.mark.parametrize("embedding", [0, 8])
def test_gradients_by_finite_differences(embedding):
    """Of a window's loss, for every trained array, along a random direction, in float64."""
    model, rng = untrained(embedding), np.random.default_rng(0)
    wide = {name: p.astype(np.float64) for name, p in model.parameters().items()}
    along = {name: rng.standard_normal(p.shape) for name, p in wide.items()}
    tokens = rng.integers(0, len(model.vocabulary), (7, 3))
    following = rng.integers(0, len(model.vocabulary), (7, 3))
    original, target = parts.DTYPE, get_target("reference")
    parts.DTYPE = np.float64
    try:

        def result(name, step):
            moved = model.with_parameters(wide | {name: wide[name] + step * along[name]})
            return charlm.loss_and_gradients(moved, target, tokens, following, None)

        for name in wide:
            slope = (result(name, 1e-5)[0] - result(name, -1e-5)[0]) / 2e-5
            gradient = result(name, 0.0)[1][name]
            assert (gradient * along[name]).sum() == pytest.approx(slope, rel=1e-6), name
    finally:
        parts.DTYPE = original


@pytest.mark.parametrize("cell", CARRYING)
def test_state_and_clock_are_carried_from_window_to_window(cell):
    """At a rate of next to nothing, windows of 5 see what one of 20 sees."""
    slow = TINY | {"cell": cell, "steps": 4, "batch": 4, "window": 5, "rate": 1e-12}
    short = train(TEXT, PLAIN, Settings(**slow)).bits
    long = train(TEXT, PLAIN, Settings(**(slow | {"steps": 1, "window": 20}))).bits
    assert np.mean(short) == pytest.approx(long[0], rel=1e-6)


@pytest.mark.parametrize("cell", CARRYING)
def test_without_carry_every_window_is_the_first(cell):
    slow = TINY | {"cell": cell, "batch": 2, "window": 5, "rate": 1e-12, "carry": False}
    text = TEXT[:5] * 40
    bits = train(text, PLAIN, Settings(steps=3, **slow)).bits
    assert bits == pytest.approx([bits[0]] * 3, rel=1e-4)  # a time gate may wrap meanwhile
    model = untrained(cell=cell)
    whole = evaluate(model, PLAIN, text[-1], text[:50], 5, carry=False).bits
    assert whole == pytest.approx(evaluate(model, PLAIN, text[-1], text[:5]).bits, rel=1e-6)


def test_the_streams_start_again_with_their_state_and_clock(monkeypatch):
    """Two windows fit into these streams: the third step sees what the first saw."""
    given, original = [], charlm.loss_and_gradients

    def recorded(model, target, tokens, following, state, first):
        given.append((state is None, first, tokens.tobytes()))
        return original(model, target, tokens, following, state, first)

    monkeypatch.setattr(charlm, "loss_and_gradients", recorded)
    train(TEXT[: 8 * 25 + 1], PLAIN, Settings(steps=4, **TINY))
    assert [g[:2] for g in given] == [(True, 0), (False, 12), (True, 0), (False, 12)]
    assert given[0] == given[2] and given[1][2] == given[3][2] != given[0][2]


def test_the_rate_falls_along_the_cosine(monkeypatch):
    rates = []

    class Recorded(Adam):
        def update(self, params, grads, rate):
            rates.append(rate)
            return super().update(params, grads, rate)

    monkeypatch.setattr(charlm, "Adam", Recorded)
    train(TEXT, get_target("cpu"), Settings(steps=6, **TINY))
    assert rates == [cosine_rate(step, 6, TINY["rate"]) for step in range(6)]
    assert len(set(rates)) == 6


def test_the_clipped_gradients_are_the_ones_used():
    """Clipped far below Adam's epsilon they move nothing: as a rate of next to nothing."""
    free, clipped, still = (
        train(TEXT, get_target("cpu"), Settings(steps=6, **(TINY | change))).bits
        for change in ({"clip": 1e6}, {"clip": 1e-14}, {"rate": 1e-12})
    )
    np.testing.assert_allclose(clipped, still, rtol=1e-4)
    assert abs(free[-1] - still[-1]) > 0.01


@pytest.mark.slow
def test_the_default_training_reaches_its_figure():
    text, held_out = split(python_topics())
    target = get_target("cpu")
    model = train(text, target, Settings(cell="lstm")).model
    assert evaluate(model, target, text, held_out).bits <= 2.1  # 1.79 when written


@pytest.mark.parametrize("cell", [CELL, *CLOCKS, "lstm[projection=True]"])
def test_evaluation_is_the_definition(cell):
    model, text = untrained(cell=cell), "The value of x.\x00 Yes?"
    tokens = model.vocabulary.encode("?" + text)
    assert (tokens == 0).any()
    y = PLAIN.forward(model.name, model.cell, model.x(tokens[:-1, None])).y
    y, weight = y.astype(np.float64), model.outer["weight"].astype(np.float64)
    bias = model.outer["bias"].astype(np.float64)
    loss = reference.head_loss("softmax", y, weight, bias, tokens[1:, None]).loss
    for window in (500, 7, 1):
        score = evaluate(model, PLAIN, "never mind?", text, window)
        assert score.bits == pytest.approx(loss / math.log(2), rel=1e-6)
        assert score.characters == len(text)
        assert score.unknown == (tokens[1:] == 0).sum()


def test_sampling_is_seeded_and_as_long_as_asked(target):
    model = untrained()
    for length in (0, 1, 37):
        first, again = (sample(model, target, "The ", length, seed=3) for _ in range(2))
        assert first == again and len(first) == length
    assert sample(model, target, "The ", 37, seed=4) != first
    assert sample(model, target, "ßßß", 5)  # unknown characters in a prompt are read as <UNK>


@pytest.mark.parametrize("cell", CLOCKS)
def test_a_sample_continues_the_clock(cell):
    """Each character is the likeliest after one run over all that stands before it."""
    model, prompt = untrained(cell=cell), "The"
    text = prompt + sample(model, PLAIN, prompt, 12, 1e-9)
    tokens = model.vocabulary.encode(text)
    y = PLAIN.forward(model.name, model.cell, model.x(tokens[:-1, None])).y[:, 0]
    logits = y @ model.outer["weight"][1:].T + model.outer["bias"][1:]
    assert (1 + logits.argmax(axis=1))[len(prompt) - 1 :].tolist() == tokens[len(prompt) :].tolist()


def test_sampling_draws_from_the_softmax_and_never_unknown():
    """One symbol at a time from fixed logits: frequencies, the limits of the temperature."""
    model, target = untrained(text="abc" * 10), get_target("reference")
    model.outer["weight"][:] = 0
    model.outer["bias"][:] = np.log([1000, 1, 2, 5])  # <UNK>, a, b, c
    drawn = sample(model, target, "a", 2000, 1.0, seed=1)
    for symbol, share in (("a", 1 / 8), ("b", 2 / 8), ("c", 5 / 8)):
        assert drawn.count(symbol) / 2000 == pytest.approx(share, abs=0.04)
    drawn = sample(model, target, "a", 2000, 0.5, seed=1)
    assert drawn.count("c") / 2000 == pytest.approx(25 / 30, abs=0.04)
    for tiny in (1e-300, 1e-320, 5e-324):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert set(sample(model, target, "a", 50, tiny)) == {"c"}
    drawn = sample(model, target, "a", 2000, 1e9, seed=1)
    assert drawn.count("a") / 2000 == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize(
    "rate, steps, error, message",
    [
        (1e30, 50, InputError, r"^step 2: loss is \d\S+ bits .* smaller learning rate$"),
        (1e300, 50, NonFiniteGradient, r"^step 2: gradient .* smaller learning rate$"),
        (1e30, 1, InputError, r"^evaluation: loss is \d\S+ bits .* smaller learning rate$"),
        (1e300, 1, InputError, r"^evaluation: loss is nan bits .* smaller learning rate$"),
    ],
)
def test_divergence_is_reported(rate, steps, error, message):
    settings, target = Settings(**(TINY | {"rate": rate, "steps": steps})), get_target("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=message):
            evaluate(train(TEXT, target, settings).model, target, "a", TEXT[:50])


@pytest.mark.parametrize("size", [10**12, 10**18, 10**30])
@pytest.mark.parametrize("name", ["hidden", "embedding"])
def test_a_model_too_large_is_refused(name, size):
    with pytest.raises(InputError, match=rf"{name} is {size}\b.* does not fit in memory"):
        train(TEXT, get_target("reference"), Settings(**(TINY | {"steps": 1, name: size})))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"cell": "nonsense"}, "unknown cell 'nonsense'"),
        ({"cell": "lstm[nonsense=1]"}, "unknown option of lstm 'nonsense'"),
        ({"cell": "lstm[zoneout=True]"}, r"cell lstm\[zoneout=True\] needs zoneout_h, zoneout_c"),
        ({"cell": "gru[recurrent_dropout=True]"}, "needs dropout_h at every step; only cells"),
        ({"cell": "mut1[input_projection=False]"}, "needs H = I; given I=8, H=16"),
        ({"cell": "mut1[input_projection=False]", "embedding": 0}, r"needs H = I; given I=\d\d,"),
        ({"hidden": 0}, "hidden is 0"),
        ({"embedding": -1}, "embedding is -1"),
        ({"steps": 0}, "steps is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": 10**6}, "too few"),
        ({"window": 0}, "window is 0"),
        ({"window": 5000}, "window is 5000; 8 streams of this text have"),
        ({"rate": 0.0}, "learning rate is 0.0"),
        ({"clip": math.nan}, "clip is nan"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(InputError, match=message):
        train(TEXT, get_target("reference"), Settings(**({"steps": 1} | TINY | change)))


@pytest.mark.parametrize(
    "prompt, length, temperature, seed, message",
    [
        ("", 5, 1.0, 0, "prompt is empty"),
        ("a", -1, 1.0, 0, "length is -1"),
        ("a", 5, 0.0, 0, "temperature is 0.0"),
        ("a", 5, math.inf, 0, "temperature is inf"),
        ("a", 5, 1.0, -1, "seed is -1"),
    ],
)
def test_bad_sampling(prompt, length, temperature, seed, message):
    with pytest.raises(InputError, match=message):
        sample(untrained(), get_target("reference"), prompt, length, temperature, seed)


def test_bad_evaluation():
    for before, text in (("", "abc"), ("abc", "")):
        with pytest.raises(InputError, match="at least one character"):
            evaluate(untrained(), get_target("reference"), before, text)
