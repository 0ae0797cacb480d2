"""Text: vocabulary by frequency, the held-out part, streams that continue from row to row."""

import numpy as np
import pytest

from rnnbench.errors import InputError
from rnnbench.tasks.text import UNKNOWN, Vocabulary, python_topics, split, streams


def test_the_last_tenth_is_held_out():
    text = python_topics()
    assert len(text) > 400_000
    training, held_out = split(text)
    assert training + held_out == text
    assert len(held_out) == round(len(text) / 10)


def test_vocabulary_by_frequency_with_unknown_first():
    vocabulary = Vocabulary.of("ccc bbb aaaa z", least=2)
    assert vocabulary.symbols == (UNKNOWN, "a", " ", "b", "c")
    tokens = vocabulary.encode("abzq")
    np.testing.assert_array_equal(tokens, [1, 3, 0, 0])
    assert tokens.dtype == np.int64
    assert vocabulary.decode(tokens) == "ab<UNK><UNK>"
    assert len(vocabulary.encode("")) == 0


def test_rare_characters_are_unknown():
    text, held_out = split(python_topics())
    vocabulary = Vocabulary.of(text)
    tokens = vocabulary.encode(held_out)
    assert vocabulary.decode(tokens[tokens > 0]) == "".join(
        c for c in held_out if c in vocabulary.symbols
    )
    assert 0 < (vocabulary.encode(text) == 0).sum() < 1e-3 * len(text)


def test_streams_continue_down_each_column():
    inputs, following = streams(np.arange(11), 3)
    np.testing.assert_array_equal(inputs, [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
    np.testing.assert_array_equal(following, inputs + 1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: split("abc", 0), "held_out is 0"),
        (lambda: split("a"), "can't be split"),
        (lambda: Vocabulary.of("abc"), "no character occurs 10 times"),
        (lambda: Vocabulary.of("abc", 0), "least is 0"),
        (lambda: streams(np.arange(3), 3), "too few"),
        (lambda: streams(np.arange(9), 0), "batch is 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
