"""Encoder–decoders against the reference, and what holds exactly between routes."""

import json

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.errors import InputError
from rnnbench.layers import encoder_decoder as module
from rnnbench.layers.attention import Additive, Dot, General
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.decoding import Bahdanau, InputFeeding, Luong
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.layer import Array, joined, part, random_arrays
from rnnbench.layers.networks import network_data, network_from
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.stack import Stack
from rnnbench.target import reference_cell
from rnnbench_reference import encoder_decoder as reference

S, T, B, I, J, H = 4, 5, 4, 3, 2, 4
SOURCE_LENGTHS, LENGTHS = np.array([4, 1, 3, 2]), np.array([2, 5, 0, 4])
PLAIN = get_target("plain")
SCORES = {"additive": Additive(5), "dot": Dot(), "general": General()}
KINDS = {
    None: lambda score: None,
    "bahdanau": Bahdanau,
    "luong": lambda score: Luong(score, 2),
    "feeding": lambda score: InputFeeding(score, 2),
}
CELLS = ["lstm", "gru", "elman_tanh", "lstm[projection=true]", "gru_reset_before", "mut3"]


def model(cell, kind=None, score="additive", bridge=None):
    return EncoderDecoder(
        Recurrent(cell, H), Recurrent(cell, H), bridge, KINDS[kind](SCORES[score])
    )


class Case:
    """All that forward and backward of a model take, distinct and nonzero."""

    def __init__(self, network, dtype=np.float64, seed=0, mask=None):
        self.network, self.mask = network, mask
        self.lengths = SOURCE_LENGTHS, LENGTHS
        self.params = network.random_params(J, I, dtype, seed)
        self.state = random_arrays(network.states(B, J, I), dtype, [seed, 2])
        decoder = network.decoder_states(B, J, I)
        final = joined({"decoder": {n: Array(a.shape) for n, a in decoder.items()}})
        self.dstate = random_arrays(final, dtype, [seed, 3])
        wanted = {
            "source": Array((S, B, J)),
            "x": Array((T, B, I)),
            "dy": Array((T, B, network.output_size(J, I))),
        }
        arrays = random_arrays(wanted, dtype, [seed, 4])
        self.source, self.x, self.dy = arrays["source"], arrays["x"], arrays["dy"]

    def forward(self, target=PLAIN, **change):
        given = {"params": self.params, "state": self.state}
        given |= {"source": self.source, "x": self.x, "source_mask": self.mask}
        given |= {"source_lengths": self.lengths[0], "lengths": self.lengths[1]}
        return self.network.forward(target, **(given | change))

    def run(self, target=PLAIN, **change):
        result = self.forward(target, **change)
        return results(result, self.network.backward(result.tape, self.dy, self.dstate))


def results(run, gradients):
    found = {"y": run.y, "dsource": gradients.source, "dx": gradients.x}
    found |= {} if run.weights is None else {"weights": run.weights}
    found |= {f"final {n}": v for n, v in run.state.items()}
    found |= {f"d{n}": g for n, g in gradients.params.items()}
    return found | {f"initial {n}": g for n, g in gradients.state.items()}


def reference_run(case, cell, kind, score):
    built = reference_cell(cell)
    run = reference.forward(
        built,
        built,
        case.params,
        case.source,
        case.x,
        *case.lengths,
        case.state,
        None if case.network.bridge is None else {},
        kind,
        score,
        case.mask,
    )
    found = reference.backward(run.tape, case.dy, part(case.dstate, "decoder"))
    named = run._replace(
        state=joined({"decoder": run.state}), weights=None if kind is None else run.weights
    )
    return results(named, found)


def assert_close(got, want, rtol=1e-12):
    assert got.keys() == want.keys()
    for name, w in want.items():
        scale = max(np.abs(w).max(), 1e-3)
        np.testing.assert_allclose(got[name], w, rtol=0, atol=rtol * scale, err_msg=name)


def mask():
    allowed = np.ones((S, B), bool)
    allowed[1, 0] = allowed[0, 3] = False
    return allowed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_against_the_reference(cell, kind):
    case = Case(model(cell, kind), mask=None if kind is None else mask())
    assert_close(case.run(), reference_run(case, cell, kind, "additive"))


@pytest.mark.parametrize("score", ["dot", "general"])
@pytest.mark.parametrize("kind", ["bahdanau", "luong", "feeding"])
def test_every_score(kind, score):
    case = Case(model("gru", kind, score), mask=mask())
    assert_close(case.run(), reference_run(case, "gru", kind, score))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_on_the_cpu(cell, kind):
    case = Case(model(cell, kind), mask=None if kind is None else mask())
    got = case.run(get_target("cpu"))
    assert_close(got, reference_run(case, cell, kind, "additive"))
    for name, again in case.run(get_target("cpu", threads=2)).items():
        np.testing.assert_array_equal(got[name], again, err_msg=name)


def test_without_a_bridge_the_two_are_strangers():
    """No gradient reaches the source; the decoder is a layer of its own."""
    case = Case(model("lstm", bridge={}))
    got = case.run()
    assert_close(got, reference_run(case, "lstm", None, "dot"))
    assert not got["dsource"].any() and not any(
        g.any() for n, g in got.items() if n.startswith(("dencoder.", "initial encoder."))
    )
    decoder = case.network.decoder
    own = part(case.params, "decoder"), case.x, part(case.state, "decoder"), LENGTHS
    run = decoder.forward(PLAIN, *own)
    found = decoder.backward(run.tape, case.dy, part(case.dstate, "decoder"))
    np.testing.assert_array_equal(got["y"], run.y)
    np.testing.assert_array_equal(got["dx"], found.x)
    for name, g in found.state.items():
        np.testing.assert_array_equal(got[f"initial decoder.{name}"], g)


@pytest.mark.parametrize("cell", CELLS)
def test_the_encoder_gets_the_decoders_initial_gradient_and_nothing_else(cell):
    case = Case(model(cell))
    got = case.run()
    encoder, decoder = case.network.encoder, case.network.decoder
    first = encoder.forward(
        PLAIN,
        part(case.params, "encoder"),
        case.source,
        part(case.state, "encoder"),
        SOURCE_LENGTHS,
    )
    second = decoder.forward(PLAIN, part(case.params, "decoder"), case.x, first.state, LENGTHS)
    back = decoder.backward(second.tape, case.dy, part(case.dstate, "decoder"))
    found = encoder.backward(first.tape, None, back.state)
    np.testing.assert_array_equal(got["dsource"], found.x)
    for name, g in found.params.items():
        np.testing.assert_array_equal(got[f"dencoder.{name}"], g)
    for name, g in found.state.items():
        np.testing.assert_array_equal(got[f"initial encoder.{name}"], g)


def test_a_state_that_starts_two_gets_both_gradients():
    case = Case(EncoderDecoder(Recurrent("gru", H), Recurrent("lstm", H), {"h": "h", "c": "h"}))
    got = case.run()
    encoder, decoder = case.network.encoder, case.network.decoder
    given = part(case.params, "encoder"), case.source, part(case.state, "encoder")
    first = encoder.forward(PLAIN, *given, SOURCE_LENGTHS)
    start = {"h": first.state["h"], "c": first.state["h"]}
    second = decoder.forward(PLAIN, part(case.params, "decoder"), case.x, start, LENGTHS)
    back = decoder.backward(second.tape, case.dy, part(case.dstate, "decoder")).state
    found = encoder.backward(first.tape, None, {"h": back["h"] + back["c"]})
    np.testing.assert_array_equal(got["dsource"], found.x)
    np.testing.assert_array_equal(got["initial encoder.h"], found.state["h"])


@pytest.mark.parametrize("cell", ["lstm", "clockwork", "phased_lstm"])
@pytest.mark.parametrize("kind", ["bahdanau", "feeding"])
def test_a_decoder_that_ignores_what_attention_adds_runs_as_without(cell, kind):
    """Zero columns for the context, or the fed vector: the step-wise run is the whole one. A cell
    that counts its steps counts them across the calls."""
    case = Case(model(cell, kind))
    W = case.params["decoder.W"]
    W[:, I:] = 0
    attended = case.forward()
    alone = EncoderDecoder(case.network.encoder, case.network.decoder)
    params = {n: p for n, p in case.params.items() if not n.startswith("attention.")}
    params["decoder.W"] = W[:, :I].copy()
    run = alone.forward(PLAIN, params, case.source, case.x, *case.lengths, case.state)
    for name, value in run.state.items():
        np.testing.assert_allclose(attended.state[name], value, rtol=1e-13, atol=1e-14)
    if kind == "bahdanau":
        np.testing.assert_allclose(attended.y, run.y, rtol=1e-13, atol=1e-14)


def test_feeding_that_is_ignored_is_luong():
    """All gradients too, but those of the ignored columns."""
    case = Case(model("gru", "feeding"))
    case.params["decoder.W"][:, I:] = 0
    fed = case.run()
    case.network = model("gru", "luong")
    case.params["decoder.W"] = case.params["decoder.W"][:, :I].copy()
    fed["ddecoder.W"] = fed["ddecoder.W"][:, :I]
    assert_close(fed, case.run(), 1e-13)


class Late(Dot):
    """A mistake: each query is the one of the call, or of the step, before."""

    def read(self, target, params, memory, query):
        if len(query) > 1:
            query = np.roll(query, 1, axis=0)
        else:
            previous, vars(self)["last"] = vars(self).get("last"), query
            query = query if previous is None else previous
        return super().read(target, params, memory, query)


@pytest.mark.parametrize("kind", ["bahdanau", "luong", "feeding"])
def test_a_query_of_another_step_fails(kind):
    case = Case(model("gru", kind, "dot"))
    want = reference_run(case, "gru", kind, "dot")
    assert_close(case.run(), want)
    broken = EncoderDecoder(Recurrent("gru", H), Recurrent("gru", H), None, KINDS[kind](Late()))
    case.network = broken
    with pytest.raises(AssertionError, match=r"y|weights"):
        assert_close(case.run(), want, 1e-3)


@pytest.mark.parametrize("kind", ["bahdanau", "luong", "feeding"])
def test_an_ignored_mask_fails(kind, monkeypatch):
    case = Case(model("gru", kind), mask=mask())
    want = reference_run(case, "gru", kind, "additive")
    monkeypatch.setattr(module, "allowed_steps", lambda *_: np.ones((B, S), bool))
    with pytest.raises(AssertionError):
        assert_close(case.run(), want, 1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_leaks(kind):
    case = Case(model("lstm", kind), mask=None if kind is None else mask())
    clean = case.run()
    past = np.arange(T)[:, None] >= LENGTHS
    case.source[np.arange(S)[:, None] >= SOURCE_LENGTHS] = np.nan
    case.x[past] = case.dy[past] = np.nan
    for name, value in case.run().items():
        np.testing.assert_array_equal(value, clean[name], err_msg=name)
    assert not clean["y"][past].any() and not clean["dx"][past].any()
    if kind is not None:
        assert not clean["weights"][past].any()
        np.testing.assert_allclose(clean["weights"].sum(axis=2)[~past], 1, rtol=1e-14)


@pytest.mark.parametrize("bridge", [{}, None], ids=["no bridge", "bridge"])
@pytest.mark.parametrize("kind", ["bahdanau", "luong", "feeding"])
def test_nan_in_a_source_without_a_target_reaches_no_parameter(kind, bridge):
    """Neither through what attention sees nor through the state that the decoder starts from."""
    case = Case(model("gru", kind, bridge=bridge))
    case.source[0, 2] = np.nan  # the sequence whose target has no step
    got = case.run()
    for name, value in got.items():
        if name.startswith(("dattention.", "ddecoder.")):
            assert np.isfinite(value).all(), name
    case.source[0, 1] = np.nan
    assert np.isnan(case.run()["y"][0, 1]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_sequences(kind):
    case = Case(model("gru", kind))
    whole, total = case.run(), {}
    for b in range(B):
        one = Case(case.network)
        one.params, one.lengths = case.params, (SOURCE_LENGTHS[b : b + 1], LENGTHS[b : b + 1])
        one.state = {n: v[b : b + 1] for n, v in case.state.items()}
        one.dstate = {n: v[b : b + 1] for n, v in case.dstate.items()}
        one.source, one.x, one.dy = (a[:, b : b + 1] for a in (case.source, case.x, case.dy))
        for name, value in one.run().items():
            axis = 0 if name.startswith(("final", "initial")) else 1
            if name in ("y", "dsource", "dx", "weights") or axis == 0:
                want = np.take(whole[name], [b], axis)
                np.testing.assert_allclose(value, want, rtol=1e-11, atol=1e-14, err_msg=name)
            else:
                total[name] = total.get(name, 0) + value
    assert_close(total, {name: whole[name] for name in total})


def deep(attention):
    """A stack that reads both ways and one that writes, of two kinds of cells."""
    both = Bidirectional(Recurrent("gru", 2), Recurrent("lstm", 3))
    encoder = Stack([both, Recurrent("elman_tanh", H)])
    decoder = Stack([Recurrent("lstm", 5), Recurrent("gru", H)], masks="step")
    bridge = {"0.h": ("0.forward.h", "0.backward.c"), "1.h": "1.h"}
    return EncoderDecoder(encoder, decoder, bridge, attention)


ATTENTIONS = {
    "none": None,
    "bahdanau": Bahdanau(Additive(3)),
    "bahdanau below": Bahdanau(General(), query="0.c"),
    "luong": Luong(Dot(), 2),
    "feeding": InputFeeding(General(), 3),
}


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_layers_of_layers_by_finite_differences(kind):
    """One random direction through all arrays checks the whole gradient: central differences with
    a step of 1e-5 are right to about 1e-9 here."""
    case = Case(deep(ATTENTIONS[kind]))
    inputs = {"decoder.mask.0": np.random.default_rng(6).uniform(0.5, 1.5, (T, B, 5))}
    result = case.forward(inputs=inputs)
    found = case.network.backward(result.tape, case.dy, case.dstate)
    arrays = case.params | case.state | {"source": case.source, "x": case.x}
    gradients = found.params | found.state | {"source": found.source, "x": found.x}
    assert gradients.keys() == arrays.keys()
    rng = np.random.default_rng(7)
    along = {n: rng.standard_normal(a.shape) for n, a in arrays.items()}

    def loss(step):
        a = {n: value + step * along[n] for n, value in arrays.items()}
        run = case.forward(
            params={n: a[n] for n in case.params},
            state={n: a[n] for n in case.state},
            source=a["source"],
            x=a["x"],
            inputs=inputs,
            tape=False,
        )
        final = sum((run.state[n] * d).sum() for n, d in case.dstate.items())
        return (run.y * case.dy).sum() + final

    numeric = (loss(1e-5) - loss(-1e-5)) / 2e-5
    got = sum((g * along[n]).sum() for n, g in gradients.items())
    assert got == pytest.approx(numeric, rel=1e-7)
    assert got - (gradients["source"] * along["source"]).sum() != pytest.approx(numeric, rel=1e-4)


def test_float32_stays_float32():
    for kind in KINDS:
        got = Case(model("gru", kind), np.float32).run()
        assert {a.dtype for a in got.values()} == {np.dtype(np.float32)}
        assert_close(got, Case(model("gru", kind)).run(), 1e-4)


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_a_description_makes_the_same(kind):
    network = deep(ATTENTIONS[kind])
    data = json.loads(json.dumps(network_data(network)))
    made = network_from(data)
    assert network_data(made) == data == network_data(network)
    np.testing.assert_array_equal(Case(made).forward().y, Case(network).forward().y)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tape_may_be_used_again_and_is_its_own(kind):
    case = Case(model("gru", kind))
    result = case.forward()
    first = case.network.backward(result.tape, case.dy, case.dstate)
    for array in (*case.params.values(), *case.state.values(), case.source, case.x):
        array[...] = np.nan
    second = case.network.backward(result.tape, case.dy, case.dstate)
    for name, value in results(result, first).items():
        np.testing.assert_array_equal(value, results(result, second)[name])


@pytest.mark.parametrize("kind", ["bahdanau", "luong", "feeding"])
@pytest.mark.parametrize("lengths", [LENGTHS, None], ids=["ragged", "whole"])
def test_an_initial_state_that_no_bridge_gives_is_copied(kind, lengths):
    """Bahdanau's first query is that state itself."""
    case = Case(model("gru", kind, bridge={}))
    result = case.forward(lengths=lengths)
    first = case.network.backward(result.tape, case.dy, case.dstate)
    case.state["decoder.h"][...] = np.nan
    second = case.network.backward(result.tape, case.dy, case.dstate)
    for name, value in results(result, first).items():
        np.testing.assert_array_equal(value, results(result, second)[name], err_msg=name)


def gru(size=H):
    return Recurrent("gru", size)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((gru(), gru(5)), r"states do not match: the encoder has h \(4\), the decoder h \(5\)"),
        ((gru(), Recurrent("lstm", H)), r"has h \(4\), the decoder h \(4\), c \(4\)"),
        ((gru(), gru(), {"s": "h"}), "unknown decoder state in bridge 's'; allowed: h"),
        ((gru(), gru(), {"h": "s"}), "unknown encoder state in bridge 's'; allowed: h"),
        ((gru(), gru(), {"h": ("h", "h")}), "decoder's h a width of 8"),
        ((gru(), gru(), {"h": 3}), "bridge maps h to 3"),
        ((gru(), gru(), {"h": [["h"]]}), r"unknown encoder state in bridge \['h'\]; allowed: h"),
        ((gru(), gru(), None, Bahdanau(Dot(), ["h"])), r"query is \['h'\]; needs one of the"),
        ((gru(), gru(5), {}, Bahdanau(Dot())), "equal widths; the query has 5, the source 4"),
        ((gru(), gru(), None, Bahdanau(Dot(), "c")), "query is 'c'; needs one of the states h"),
        ((gru(5), gru(5), None, Luong(Dot(), 2)), None),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(arguments, message):
    network = EncoderDecoder(*arguments)
    given = {"params": {}, "source": np.zeros((S, B, J)), "x": np.zeros((T, B, I))}
    with pytest.raises(InputError, match=message or "parameter encoder.W is missing") as raised:
        network.forward(object(), **given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("gru", gru()), "encoder is a str; needs a layer"),
        ((gru(), Bidirectional(gru(), gru())), "decoder is a Bidirectional, which sees later"),
        ((gru(), gru(), ["h"]), "bridge is a list"),
        ((gru(), gru(), None, Dot()), "attention is a Dot; needs Bahdanau, Luong or InputFeeding"),
    ],
)
def test_what_is_no_part(arguments, message):
    with pytest.raises(InputError, match=message):
        EncoderDecoder(*arguments)
    with pytest.raises(InputError, match="attention is a str; needs Additive"):
        Bahdanau("dot")


@pytest.mark.parametrize(
    "kind, change, message",
    [
        ("luong", {"source_lengths": np.array([1, 1, 0, 1])}, "sequence 2 has no source step"),
        ("luong", {"source_mask": ~np.ones((S, B), bool)}, "sequence 0 has no source step"),
        (None, {"source_mask": np.ones((S, B), bool)}, "without attention nothing looks"),
        (None, {"x": np.zeros((T, B + 1, I))}, "source has shape"),
        (None, {"x": np.zeros((T, B, I), np.float32)}, "x is float32, source is float64"),
        (None, {"x": np.zeros((T, B, I + 1))}, "parameter decoder.W has shape"),
        (None, {"lengths": np.full(B, T + 1)}, "a length is 6"),
        (None, {"state": {"decoder.h": np.zeros((B, H))}}, "unknown state 'decoder.h'"),
        (None, {"inputs": {"decoder.z": np.zeros(B)}}, "unknown input 'decoder.z'"),
    ],
)
def test_bad_input(kind, change, message):
    case = Case(model("gru", kind))
    with pytest.raises(InputError, match=message) as raised:
        case.forward(object(), **change)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"network": ["EncoderDecoder"]},
            r"unknown network \['EncoderDecoder'\]; allowed: Encoder",
        ),
        ({"network": None}, "unknown network None"),
        (
            {"attention": {"decoding": ["Luong"]}},
            r"unknown decoding \['Luong'\]; allowed: Bahdanau",
        ),
        ({"attention": {"decoding": "Luong", "attention": {"score": {}}}}, "unknown score {}"),
        ({"attention": {"score": "Dot"}}, "attention is a Dot; needs Bahdanau"),
        ({"attention": {"decoding": "Luong", "size": 2}}, "a Luong is not made of 'size'"),
        ({"encoder": {"kind": ["Recurrent"]}}, r"unknown kind of layer \['Recurrent'\]"),
        ({"encoder": None}, "encoder is a NoneType; needs a layer"),
        ({"bridge": ["h"]}, "bridge is a list"),
        (
            {"more": 1},
            "a EncoderDecoder is not made of 'encoder', 'decoder', 'bridge', 'attention'",
        ),
        ({3: 1}, "a EncoderDecoder is not made of"),
    ],
    ids=str,
)
def test_data_that_describe_no_network(change, message):
    with pytest.raises(InputError, match=message) as raised:
        network_from(network_data(model("gru", "luong")) | change)
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match="a network is given as"):
        network_from([])


def test_bad_gradients():
    case = Case(model("gru"))
    tape = case.forward().tape
    for dy, dstate, message in [
        (np.zeros((T, B, H + 1)), None, "dy has shape"),
        (None, {"h": np.zeros((B, H))}, "unknown dstate 'h'; allowed: decoder.h"),
    ]:
        with pytest.raises(InputError, match=message):
            case.network.backward(tape, dy, dstate)
    with pytest.raises(InputError, match="tape is a Tape"):
        model("gru").backward(tape)
    assert case.forward(tape=False).tape is None
