"""Text for language models: the standard library's own prose, its vocabulary, its streams.

Nothing is downloaded: ``pydoc_data.topics`` holds the help topics of ``help()``, some 465 KB of
English with examples of Python. The text differs a little between Python versions, so figures
are comparable on one version only.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from rnnbench.checks import check_count
from rnnbench.errors import InputError

UNKNOWN = "<UNK>"
HELD_OUT = 0.1


def python_topics() -> str:
    """The help topics in alphabetical order, joined by newlines."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def split(text: str, held_out: float = HELD_OUT) -> tuple[str, str]:
    """(training text, held-out text): the last part is held out, whole."""
    if not 0 < held_out < 1:
        raise InputError(f"held_out is {held_out!r}; needs a fraction between 0 and 1")
    edge = len(text) - round(len(text) * held_out)
    if not 0 < edge < len(text):
        raise InputError(f"a text of {len(text)} characters can't be split at {held_out}")
    return text[:edge], text[edge:]


@dataclass(frozen=True)
class Vocabulary:
    """Symbols by descending frequency, ties by code point; place 0 is ``<UNK>``."""

    symbols: tuple[str, ...]

    @classmethod
    def of(cls, text: str, least: int = 10) -> "Vocabulary":
        """The characters that occur at least ``least`` times; all rarer ones become ``<UNK>``.

        A character seen a handful of times can't be learned, only memorised.
        """
        check_count("least", least)
        counts = Counter(text)
        frequent = [c for c, n in counts.items() if n >= least]
        if not frequent:
            raise InputError(f"no character occurs {least} times in {len(text)} characters")
        return cls((UNKNOWN, *sorted(frequent, key=lambda c: (-counts[c], c))))

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> np.ndarray:
        """(len(text),) int64; 0 for a character outside the vocabulary."""
        places = {symbol: place for place, symbol in enumerate(self.symbols)}
        return np.fromiter((places.get(c, 0) for c in text), np.int64, len(text))

    def decode(self, tokens) -> str:
        return "".join(self.symbols[token] for token in tokens)


def streams(tokens: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and next tokens, both (L, batch): column b reads the b-th stretch of the text.

    Row t+1 continues row t in every column, so that a state can be carried from window to
    window. Up to ``batch`` tokens at the end stay out.
    """
    check_count("batch", batch)
    length = (len(tokens) - 1) // batch
    if length < 1:
        raise InputError(f"{len(tokens)} tokens are too few for a batch of {batch} streams")
    used = length * batch
    inputs, following = tokens[:used], tokens[1 : used + 1]
    return (
        np.ascontiguousarray(inputs.reshape(batch, length).T),
        np.ascontiguousarray(following.reshape(batch, length).T),
    )
