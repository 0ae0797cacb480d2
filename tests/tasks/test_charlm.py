"""The character language model end to end, small: it learns, repeats itself, scores honestly."""

import math
import warnings

import numpy as np
import pytest

import rnnbench_reference as reference
from rnnbench import cell_names, get_target
from rnnbench.errors import InputError, NonFiniteGradient
from rnnbench.tasks import charlm
from rnnbench.tasks.charlm import Settings, evaluate, initial_model, sample, train
from rnnbench.tasks.optimise import Adam, cosine_rate
from rnnbench.tasks.text import Vocabulary, python_topics, split

TEXT = python_topics()[:20_000]
CELL = cell_names()[0]
TINY = {"cell": CELL, "hidden": 16, "embedding": 8, "batch": 8, "window": 12, "rate": 0.01}


@pytest.fixture(params=["reference", "cpu"])
def target(request):
    return get_target(request.param)


def untrained(embedding=8, text=TEXT):
    settings = Settings(CELL, hidden=16, embedding=embedding)
    return initial_model(settings, Vocabulary.of(text))


@pytest.mark.parametrize("cell", cell_names())
def test_any_cell_learns_more_than_the_frequencies(cell):
    settings = Settings(**(TINY | {"cell": cell, "steps": 150, "rate": 0.03}))
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


@pytest.mark.parametrize("cell", cell_names())
def test_the_reference_replays_the_first_steps(cell):
    settings = Settings(**(TINY | {"cell": cell, "steps": 5}))
    fast, slow = (train(TEXT, get_target(name), settings).bits for name in ("cpu", "reference"))
    np.testing.assert_allclose(fast, slow, rtol=1e-4)


@pytest.mark.parametrize("embedding", [0, 8])
def test_gradients_by_finite_differences(embedding):
    """Of a window's loss, for every trained array, along a random direction, in float64."""
    model, rng = untrained(embedding), np.random.default_rng(0)
    wide = {name: p.astype(np.float64) for name, p in model.parameters().items()}
    along = {name: rng.standard_normal(p.shape) for name, p in wide.items()}
    tokens = rng.integers(0, len(model.vocabulary), (7, 3))
    following = rng.integers(0, len(model.vocabulary), (7, 3))
    original = charlm.DTYPE
    charlm.DTYPE = np.float64
    try:

        def result(name, step):
            moved = model.with_parameters(wide | {name: wide[name] + step * along[name]})
            return charlm.loss_and_gradients(moved, reference, tokens, following, None)

        for name in wide:
            slope = (result(name, 1e-5)[0] - result(name, -1e-5)[0]) / 2e-5
            gradient = result(name, 0.0)[1][name]
            assert (gradient * along[name]).sum() == pytest.approx(slope, rel=1e-6), name
    finally:
        charlm.DTYPE = original


def test_the_state_is_carried_from_window_to_window(target):
    """At a rate of next to nothing, windows of 5 see what one of 20 sees."""
    slow = TINY | {"steps": 4, "batch": 4, "window": 5, "rate": 1e-12}
    short = train(TEXT, target, Settings(**slow)).bits
    long = train(TEXT, target, Settings(**(slow | {"steps": 1, "window": 20}))).bits
    assert np.mean(short) == pytest.approx(long[0], rel=1e-6)


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


def test_evaluation_is_the_definition(target, monkeypatch):
    model, text = untrained(), "The value of x.\x00 Yes?"
    tokens = model.vocabulary.encode("?" + text)
    assert (tokens == 0).any()
    y = target.forward(model.name, model.cell, model.inputs(tokens[:-1, None])).y
    y, weight = y.astype(np.float64), model.outer["weight"].astype(np.float64)
    bias = model.outer["bias"].astype(np.float64)
    loss = reference.head_loss("softmax", y, weight, bias, tokens[1:, None]).loss
    for window in (500, 7, 1):
        monkeypatch.setattr(charlm, "EVALUATION_WINDOW", window)
        score = evaluate(model, target, "never mind?", text)
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
