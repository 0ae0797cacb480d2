"""How a decoder uses its source: not at all, or through attention, before or after its step.

    Unattended    s_t, y_t = decoder(x_t, s_{t−1})
    Bahdanau      c_t = attention(s_{t−1}, source);  s_t, y_t = decoder([x_t; c_t], s_{t−1})
    Luong         s_t, h_t = decoder(x_t, s_{t−1});  c_t = attention(h_t, source)
                  y_t = tanh(W_c [c_t; h_t])
    InputFeeding  Luong, with [x_t; y_{t−1}] in place of x_t and y_0 = 0

Bahdanau, Cho & Bengio, arXiv:1409.0473, section 3.1; Luong, Pham & Manning, arXiv:1508.04025,
eq. 5 and section 3.3. Where the recurrence passes through attention the decoder runs a step at a
time, else over the whole sequence at once. Letters: T target steps, S source steps, B batch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_count
from rnnbench.errors import InputError
from rnnbench.layers.attention import Attention, Memory, Reading, ReadingGradients
from rnnbench.layers.layer import Array, Arrays, Layer, matrix, without_padding
from rnnbench.layers.products import added, dense, dense_backward
from rnnbench.layers.stepping import Steps, state_named


class Decoded(NamedTuple):
    """y (T,B,·) and weights (T,B,S), zero past a sequence's end, weights None without attention;
    the decoder's final states; inner, for the way back."""

    y: np.ndarray
    weights: np.ndarray | None
    state: Arrays
    inner: object


class DecodedGradients(NamedTuple):
    """Gradients of the decoder's parameters, of the attention's, of x, of the source (S,B,K),
    None where it is not looked at, and of the decoder's initial states."""

    decoder: Arrays
    attention: Arrays
    x: np.ndarray
    source: np.ndarray | None
    state: Arrays


class Unattended:
    """The source reaches the decoder through its initial states only."""

    def decoder_input(self, input_size: int, source_size: int) -> int:
        """The width of what the decoder is given at a step."""
        return input_size

    def output_size(self, decoder: Layer, input_size: int, source_size: int) -> int:
        return decoder.output_size(self.decoder_input(input_size, source_size))

    def parameters(self, decoder: Layer, input_size: int, source_size: int) -> dict[str, Array]:
        """Those beside the decoder's. InputError where the widths do not fit."""
        return {}

    def run(self, steps: Steps, params: Arrays, x, state: Arrays, source, allowed) -> Decoded:
        """x (T,B,I), source (S,B,K), allowed (B,S)."""
        result = steps.whole(x, state)
        return Decoded(result.y, None, result.state, result.tape)

    def run_backward(
        self, steps: Steps, params: Arrays, inner, dy: np.ndarray, dstate: Arrays
    ) -> DecodedGradients:
        """dy is zero past a sequence's end."""
        found = steps.layer.run_backward(inner, dy, dstate)
        return DecodedGradients(found.params, {}, found.x, None, found.state)


UNATTENDED = Unattended()


class Seen:
    """Sums of the gradients of one memory that was read many times."""

    def __init__(self, attention: Attention, target, params: Arrays, memory: Memory):
        self.of = attention, target, params, memory
        self.params = None
        self.keys, self.values = np.zeros_like(memory.keys), np.zeros_like(memory.values)

    def back(self, reading: Reading, dcontext: np.ndarray) -> np.ndarray:
        """The gradient at the reading's query."""
        attention, target, params, memory = self.of
        found: ReadingGradients = attention.read_backward(target, params, memory, reading, dcontext)
        self.params = added(self.params, found.params)
        self.keys += found.keys
        self.values += found.values
        return found.query

    def finish(self) -> tuple[Arrays, np.ndarray]:
        """Gradients of the attention's own parameters and of the source."""
        attention, target, params, memory = self.of
        of_keys, dsource = attention.remember_backward(
            target, params, memory, self.keys, self.values
        )
        return self.params | of_keys, dsource


def check_attention(attention) -> None:
    if not isinstance(attention, Attention):
        raise InputError(
            f"attention is a {type(attention).__name__}; needs Additive(size), Dot() or General()"
        )


@dataclass(frozen=True, eq=False)
class Bahdanau(Unattended):
    """The context is an input of the decoder's step; the query is one of its states before it.

    query: the state's name; by default a recurrent layer's output state.
    """

    attention: Attention
    query: str | None = None

    def __post_init__(self):
        check_attention(self.attention)

    def decoder_input(self, input_size, source_size):
        return input_size + source_size

    def parameters(self, decoder, input_size, source_size):
        states = decoder.states(1, self.decoder_input(input_size, source_size))
        width = states[state_named(decoder, self.query, states, "query")].shape[1]
        self.attention.check_sizes(width, source_size)
        return self.attention.parameters(width, source_size)

    def run(self, steps, params, x, state, source, allowed):
        name = state_named(steps.layer, self.query, state, "query")
        memory = self.attention.remember(steps.target, params, source, allowed)
        if steps.keep:  # the first query is the caller's array, who may write to it
            state = state | {name: state[name].copy()}
        y, weights, readings = [], [], []
        for t in range(len(x)):
            query = steps.alive(t, state[name])[None]
            reading = self.attention.read(steps.target, params, memory, query)
            given = np.concatenate([x[t], reading.context[0]], axis=1)
            output, state = steps.forward(t, given, state)
            y.append(output)
            weights.append(steps.alive(t, reading.weights[0]))
            if steps.keep:
                readings.append(reading)
        return Decoded(np.stack(y), np.stack(weights), state, (name, memory, readings))

    def run_backward(self, steps, params, inner, dy, dstate):
        name, memory, readings = inner
        seen = Seen(self.attention, steps.target, params, memory)
        width, dx, total = memory.values.shape[2], [], None
        for t in reversed(range(len(dy))):
            dgiven, dstate, total = steps.backward(t, dy[t], dstate, total)
            dx.append(dgiven[:, :-width])
            dquery = seen.back(readings[t], np.ascontiguousarray(dgiven[:, -width:])[None])
            dstate = dstate | {name: dstate[name] + dquery[0]}
        return DecodedGradients(total, *reordered(seen, dx), dstate)


@dataclass(frozen=True, eq=False)
class Luong(Unattended):
    """The query is the decoder's output at the step; y is the attentional vector, (T,B,size)."""

    attention: Attention
    size: int

    def __post_init__(self):
        check_attention(self.attention)
        check_count("size", self.size)

    def output_size(self, decoder, input_size, source_size):
        return self.size

    def parameters(self, decoder, input_size, source_size):
        width = decoder.output_size(self.decoder_input(input_size, source_size))
        self.attention.check_sizes(width, source_size)
        own = {"W_c": matrix(self.size, source_size + width)}
        return self.attention.parameters(width, source_size) | own

    def run(self, steps, params, x, state, source, allowed):
        memory = self.attention.remember(steps.target, params, source, allowed)
        result = steps.whole(x, state)
        reading = self.attention.read(steps.target, params, memory, result.y)
        both = np.concatenate([reading.context, result.y], axis=2)
        # zero past a sequence's end, and with it y: tanh(W_c 0)
        both = without_padding(both, steps.lengths)
        y = np.tanh(dense(steps.target, both, params["W_c"]))
        weights = without_padding(reading.weights, steps.lengths)
        return Decoded(y, weights, result.state, (memory, result.tape, reading, both, y))

    def run_backward(self, steps, params, inner, dy, dstate):
        memory, tape, reading, both, y = inner
        seen = Seen(self.attention, steps.target, params, memory)
        dboth, dW = dense_backward(steps.target, both, params["W_c"], dy * (1 - y * y))
        dcontext, dh = split(dboth, memory)
        dh = dh + seen.back(reading, dcontext)
        found = steps.layer.run_backward(tape, dh, dstate)
        dattention, dsource = seen.finish()
        dattention["W_c"] = dW
        return DecodedGradients(found.params, dattention, found.x, dsource, found.state)


@dataclass(frozen=True, eq=False)
class InputFeeding(Luong):
    """Luong's attentional vector is an input of the next step (zeros at the first one)."""

    def decoder_input(self, input_size, source_size):
        return input_size + self.size

    def run(self, steps, params, x, state, source, allowed):
        memory = self.attention.remember(steps.target, params, source, allowed)
        fed = np.zeros((x.shape[1], self.size), x.dtype)
        y, weights, kept = [], [], []
        for t in range(len(x)):
            h, state = steps.forward(t, np.concatenate([x[t], fed], axis=1), state)
            reading = self.attention.read(steps.target, params, memory, h[None])
            both = steps.alive(t, np.concatenate([reading.context[0], h], axis=1))
            fed = np.tanh(dense(steps.target, both, params["W_c"]))
            y.append(fed)
            weights.append(steps.alive(t, reading.weights[0]))
            if steps.keep:
                kept.append((reading, both))
        y = np.stack(y)
        return Decoded(y, np.stack(weights), state, (memory, kept, y))

    def run_backward(self, steps, params, inner, dy, dstate):
        memory, kept, y = inner
        seen = Seen(self.attention, steps.target, params, memory)
        dfed, dx, total, dW = np.zeros_like(y[0]), [], None, np.zeros_like(params["W_c"])
        for t in reversed(range(len(dy))):
            reading, both = kept[t]
            dsum = (dy[t] + dfed) * (1 - y[t] * y[t])
            dboth, dW_t = dense_backward(steps.target, both, params["W_c"], dsum)
            dW += dW_t
            dcontext, dh = split(dboth[None], memory)
            dh = dh + seen.back(reading, dcontext)
            dgiven, dstate, total = steps.backward(t, dh[0], dstate, total)
            dx.append(dgiven[:, : -self.size])
            dfed = dgiven[:, -self.size :]
        dattention, dx, dsource = reordered(seen, dx)
        dattention["W_c"] = dW
        return DecodedGradients(total, dattention, dx, dsource, dstate)


def split(dboth: np.ndarray, memory: Memory) -> tuple[np.ndarray, np.ndarray]:
    """(dcontext, dh) of [context; h] (T,B,K+H)."""
    width = memory.values.shape[2]
    return np.ascontiguousarray(dboth[..., :width]), dboth[..., width:]


def reordered(seen: Seen, dx: list) -> tuple[Arrays, np.ndarray, np.ndarray]:
    """(gradients of the attention's parameters, dx in time's order, dsource)."""
    dattention, dsource = seen.finish()
    return dattention, np.stack(dx[::-1]), dsource
