"""An encoder reads a source; a decoder, started from its final states, writes a target.

Sutskever, Vinyals & Le, arXiv:1409.3215; Cho et al., arXiv:1406.1078; with attention as in
``decoding``. The two lengths are unequal, and ragged both. The decoder is given its inputs
(teacher forcing). Without attention the encoder's gradient comes through the states only.
Letters: S source steps, T target steps, B batch; J and I the widths of source and x.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnbench.checks import check_array
from rnnbench.errors import InputError
from rnnbench.layers.attention import allowed_steps
from rnnbench.layers.bridge import Bridge, cross, cross_backward, resolve
from rnnbench.layers.decoding import UNATTENDED, Unattended
from rnnbench.layers.layer import (
    Array,
    Arrays,
    Layer,
    check_layer,
    check_upstream,
    joined,
    named,
    part,
    random_arrays,
    without_padding,
)
from rnnbench.layers.stepping import Steps, check_causal, ragged


class Result(NamedTuple):
    """y (T,B,width), zero past a sequence's end; weights (T,B,S), the attention's, None without;
    state: the decoder's final states, ``decoder.name`` -> (B,width); tape."""

    y: np.ndarray
    weights: np.ndarray | None
    state: Arrays
    tape: object


class Gradients(NamedTuple):
    """Gradients of every input: params by dotted name; source (S,B,J); x (T,B,I); initial states
    by dotted name."""

    params: Arrays
    source: np.ndarray
    x: np.ndarray
    state: Arrays


class Tape(NamedTuple):
    """encoded and decoded: the tapes of the two; final: the encoder's final states; seen: the
    shape of its outputs."""

    model: "EncoderDecoder"
    bridge: Bridge
    source_lengths: np.ndarray | None
    encoded: object
    final: Arrays
    seen: tuple[int, int, int]
    steps: Steps
    attention: Arrays
    decoded: object
    y: tuple[int, int, int]
    dtype: np.dtype


@dataclass(frozen=True, eq=False)
class EncoderDecoder:
    """encoder: any layer; decoder: a causal one.

    bridge: decoder state -> the encoder's final state that it starts from, or a tuple of them,
    side by side (both directions of a bidirectional encoder); a decoder state not named starts
    from ``state``, by default zero. None: the decoder's states are the encoder's, by name and
    width. attention: None, ``Bahdanau``, ``Luong`` or ``InputFeeding`` (``decoding``).

    Names are dotted: parameters ``encoder.…``, ``decoder.…``, ``attention.…``; initial states
    ``encoder.…``, and ``decoder.…`` where no bridge leads there.
    """

    encoder: Layer
    decoder: Layer
    bridge: Mapping[str, str | tuple[str, ...]] | None = None
    attention: Unattended | None = None

    def __post_init__(self):
        check_layer("encoder", self.encoder)
        check_causal("decoder", self.decoder)
        if not isinstance(self.bridge, Mapping | None):
            raise InputError(f"bridge is a {type(self.bridge).__name__}; needs a mapping or None")
        if not isinstance(self.attention, Unattended | None):
            kind = type(self.attention).__name__
            raise InputError(f"attention is a {kind}; needs Bahdanau, Luong or InputFeeding")

    @property
    def decoding(self) -> Unattended:
        return UNATTENDED if self.attention is None else self.attention

    # -- what it takes ---------------------------------------------------------------------------

    def decoder_input(self, source_size: int, input_size: int) -> int:
        """The width of what the decoder is given at a step: x, and what its attention adds."""
        return self.decoding.decoder_input(input_size, self.encoder.output_size(source_size))

    def output_size(self, source_size: int, input_size: int) -> int:
        """The width of y."""
        seen = self.encoder.output_size(source_size)
        return self.decoding.output_size(self.decoder, input_size, seen)

    def parameters(self, source_size: int, input_size: int) -> dict[str, Array]:
        """Every parameter, by dotted name, in canonical order. InputError where widths disagree."""
        seen = self.encoder.output_size(source_size)
        return joined(
            {
                "encoder": self.encoder.parameters(source_size),
                "decoder": self.decoder.parameters(self.decoder_input(source_size, input_size)),
                "attention": self.decoding.parameters(self.decoder, input_size, seen),
            }
        )

    def decoder_states(self, B: int, source_size: int, input_size: int) -> dict[str, Array]:
        return self.decoder.states(B, self.decoder_input(source_size, input_size))

    def bridged(self, B: int, source_size: int, input_size: int) -> Bridge:
        """Decoder state -> encoder states. InputError where they do not fit."""
        has = self.encoder.states(B, source_size)
        return resolve(self.bridge, has, self.decoder_states(B, source_size, input_size))

    def states(self, B: int, source_size: int, input_size: int) -> dict[str, Array]:
        """Every initial state that ``forward`` takes, by dotted name."""
        bridge = self.bridged(B, source_size, input_size)
        own = self.decoder_states(B, source_size, input_size)
        free = {name: array for name, array in own.items() if name not in bridge}
        return joined({"encoder": self.encoder.states(B, source_size), "decoder": free})

    def inputs(self, S: int, T: int, B: int, source_size: int, input_size: int) -> dict[str, Array]:
        """What the steps are given beside source and x, by dotted name."""
        width = self.decoder_input(source_size, input_size)
        encoder, decoder = self.encoder.inputs(S, B, source_size), self.decoder.inputs(T, B, width)
        return joined({"encoder": encoder, "decoder": decoder})

    def random_params(
        self, source_size: int, input_size: int, dtype=np.float64, seed: int = 0
    ) -> Arrays:
        """Distinct, unsaturated parameters, for checking."""
        return random_arrays(self.parameters(source_size, input_size), dtype, [seed, 1])

    # -- what a user calls -----------------------------------------------------------------------

    def forward(
        self,
        target,
        params: Mapping,
        source,
        x,
        source_lengths=None,
        lengths=None,
        state: Mapping | None = None,
        source_mask=None,
        inputs: Mapping | None = None,
        tape: bool = True,
    ) -> Result:
        """Read source (S,B,J), then run the decoder over x (T,B,I), on a target.

        source_lengths, lengths (B,): 0 to S and 0 to T. state: initial states, zero where missing.
        source_mask (S,B) bool: True where attention may look, within the source's length.
        inputs: per-step inputs of encoder and decoder, by dotted name. tape: keep what
        ``backward`` needs. All arrays float32 or all float64. InputError for anything else, and
        for a sequence of whose source attention is left nothing.
        """
        source = check_array("source", source, 3)
        x, dtype = check_array("x", x, 3), source.dtype
        if 0 in source.shape + x.shape or source.shape[1] != x.shape[1]:
            raise InputError(
                f"source has shape {source.shape}, x {x.shape}; needs (S, B, J) and (T, B, I), "
                "each at least 1"
            )
        if x.dtype != dtype:
            raise InputError(f"x is {x.dtype}, source is {dtype}; give one dtype")
        (S, B, J), (T, _, I) = source.shape, x.shape
        bridge = self.bridged(B, J, I)
        params = named("parameter", params, self.parameters(J, I), dtype)
        state = named("state", state, self.states(B, J, I), dtype, zeros=True)
        inputs = named("input", inputs, self.inputs(S, T, B, J, I), dtype, optional=True)
        source_lengths, lengths = ragged(source_lengths, S, B), ragged(lengths, T, B)
        allowed = self.allowed(source_lengths, source_mask, S, B)
        shape = (T, B, self.decoder_input(J, I))
        given = self.decoder.all_inputs(part(inputs, "decoder"), *shape, dtype)
        steps = Steps(self.decoder, target, part(params, "decoder"), shape, lengths, given, tape)
        attention = part(params, "attention")
        if tape:  # the caller may write to them before the way back
            attention = {name: value.copy() for name, value in attention.items()}

        encoded = self.encoder.run(
            target,
            part(params, "encoder"),
            source,
            part(state, "encoder"),
            source_lengths,
            part(inputs, "encoder"),
            tape,
        )
        start = part(state, "decoder") | cross(bridge, encoded.state)
        start = {name: start[name] for name in self.decoder_states(B, J, I)}
        # a NaN in the source of a target without steps must not reach shared parameters
        seen = encoded.y if lengths is None else np.where(lengths[:, None] > 0, encoded.y, 0)
        decoded = self.decoding.run(steps, attention, x, start, seen, allowed)
        kept = Tape(
            model=self,
            bridge=bridge,
            source_lengths=source_lengths,
            encoded=encoded.tape,
            final=encoded.state,
            seen=seen.shape,
            steps=steps,
            attention=attention,
            decoded=decoded.inner,
            y=decoded.y.shape,
            dtype=dtype,
        )
        for array in (decoded.y, decoded.weights):
            if array is not None:
                array.flags.writeable = False  # the tape may share them
        state = joined({"decoder": decoded.state})
        return Result(decoded.y, decoded.weights, state, kept if tape else None)

    def backward(self, tape: Tape, dy=None, dstate: Mapping | None = None) -> Gradients:
        """From dy (T,B,width) at y (no effect past a sequence's end) and dstate, ``decoder.name``
        -> (B,width), at the final states; missing ones are zero. A tape may be used again."""
        if not isinstance(tape, Tape) or tape.model is not self:
            raise InputError(f"tape is a {type(tape).__name__}; needs one of this model's forward")
        steps = tape.steps
        dy = without_padding(check_upstream(dy, tape.y, tape.dtype), steps.lengths)
        states = self.decoder.states(*tape.steps.shape[1:])
        dstate = named("dstate", dstate, joined({"decoder": states}), tape.dtype, zeros=True)
        decoded = self.decoding.run_backward(
            steps, tape.attention, tape.decoded, dy, part(dstate, "decoder")
        )
        dseen = np.zeros(tape.seen, tape.dtype) if decoded.source is None else decoded.source
        encoded = self.encoder.run_backward(
            tape.encoded,
            without_padding(dseen, tape.source_lengths),
            cross_backward(tape.bridge, tape.final, decoded.state),
        )
        free = {name: d for name, d in decoded.state.items() if name not in tape.bridge}
        params = {"encoder": encoded.params, "decoder": decoded.decoder}
        params["attention"] = {name: decoded.attention[name] for name in tape.attention}
        return Gradients(
            joined(params),
            encoded.x,
            decoded.x,
            joined({"encoder": encoded.state, "decoder": free}),
        )

    def allowed(self, source_lengths, source_mask, S: int, B: int) -> np.ndarray | None:
        if self.attention is not None:
            return allowed_steps(source_lengths, source_mask, S, B)
        if source_mask is not None:
            raise InputError("source_mask is given; without attention nothing looks at the source")
        return None
