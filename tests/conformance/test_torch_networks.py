"""Networks against PyTorch's own modules and its autograd, in float64: deep and bidirectional
layers of ragged sequences, encoder–decoders with attention written here from the papers, feedback.

Only the forward pass is written in PyTorch; every gradient of theirs is autograd's.
"""

from itertools import product

import numpy as np
import pytest

from rnnbench import get_target
from rnnbench.layers.attention import Additive, Dot, General
from rnnbench.layers.bidirectional import Bidirectional
from rnnbench.layers.decoding import Bahdanau, InputFeeding, Luong
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.feedback import Feedback
from rnnbench.layers.layer import Array, joined, part, random_arrays
from rnnbench.layers.recurrent import Recurrent
from rnnbench.layers.sequence import last_step, two_ends
from rnnbench.layers.stack import Stack

torch = pytest.importorskip("torch")
pack = torch.nn.utils.rnn.pack_padded_sequence
unpack = torch.nn.utils.rnn.pad_packed_sequence

T, B, I, H = 6, 4, 3, 5
LENGTHS = np.array([4, 6, 1, 3])
PLAIN = get_target("plain")
TARGETS = pytest.mark.parametrize("target", ["plain", "cpu"])
PROJECTED = "lstm[projection=true]"
# Sums of at most a hundred terms of order one, rounded at 1.1e-16, through 12 steps.
TOLERANCE = 1e-13


def assert_close(got, want):
    assert got.keys() == want.keys()
    for name, w in want.items():
        assert got[name].shape == w.shape, name
        scale = max(np.abs(w).max(), 1e-3)
        np.testing.assert_allclose(got[name], w, rtol=0, atol=TOLERANCE * scale, err_msg=name)


def leaves(arrays):
    return {name: torch.tensor(a, requires_grad=True) for name, a in arrays.items()}


def gradient(leaf) -> np.ndarray:
    """Zero where autograd found no path."""
    return torch.zeros_like(leaf).numpy() if leaf.grad is None else leaf.grad.numpy()


def differentiate(y, final, dy, dstate) -> None:
    loss = (y * torch.tensor(dy)).sum()
    for name, value in final.items():
        loss = loss + (value * torch.tensor(dstate[name])).sum()
    loss.backward()


# -- torch.nn.LSTM and torch.nn.GRU, two layers, both ways -------------------------------------


def both_ways(cell, size=H, widths=None):
    return Bidirectional(*(Recurrent(cell, size, widths or {}) for _ in range(2)))


DEEP = {
    "lstm": (lambda: Stack([both_ways("lstm"), both_ways("lstm")]), torch.nn.LSTM, {}),
    "gru": (lambda: Stack([both_ways("gru"), both_ways("gru")]), torch.nn.GRU, {}),
    "tanh": (lambda: Stack([both_ways("elman_tanh")] * 2), torch.nn.RNN, {}),
    "projected": (
        lambda: Stack([both_ways(PROJECTED, widths={"P": 2})] * 2),
        torch.nn.LSTM,
        {"proj_size": 2},
    ),
}
PLACES = list(product((0, 1), (("forward", ""), ("backward", "_reverse"))))


def recurrent_bias(params, prefix):
    """Theirs of the product with h: where ours has one (GRU) it is in the last gate alone."""
    zeros = np.zeros_like(params[f"{prefix}.b"])
    if f"{prefix}.b_Rn" in params:
        zeros[-H:] = params[f"{prefix}.b_Rn"]
    return zeros


def by_module(case, kind, options, lengths):
    """All arrays of theirs by our names."""
    params, x, state, dy, dstate = case
    net = kind(I, H, num_layers=2, bidirectional=True, dtype=torch.float64, **options)
    theirs = dict(net.named_parameters())
    for l, (way, suffix) in PLACES:
        prefix, end = f"{l}.{way}", f"_l{l}{suffix}"
        named = {"weight_ih": params[f"{prefix}.W"], "weight_hh": params[f"{prefix}.R"]}
        named |= {"bias_ih": params[f"{prefix}.b"], "bias_hh": recurrent_bias(params, prefix)}
        if f"{prefix}.P" in params:
            named["weight_hr"] = params[f"{prefix}.P"]
        for name, value in named.items():
            theirs[name + end].data = torch.tensor(value)
    inputs, first = leaves({"x": x})["x"], leaves(state)
    names = [n for n in ("h", "c") if f"0.forward.{n}" in state]
    start = [torch.stack([first[f"{l}.{way}.{n}"] for l, (way, _) in PLACES]) for n in names]
    ends = torch.tensor(LENGTHS if lengths is None else lengths)
    y, final = net(
        pack(inputs, ends, enforce_sorted=False), tuple(start) if start[1:] else start[0]
    )
    y, _ = unpack(y, total_length=T)
    final = dict(zip(names, final if start[1:] else [final], strict=True))
    named = {f"{l}.{way}.{n}": final[n][i] for i, (l, (way, _)) in enumerate(PLACES) for n in names}
    differentiate(y, named, dy, dstate)
    found = {"y": y.detach().numpy(), "dx": inputs.grad.numpy()}
    found |= {f"final {n}": v.detach().numpy() for n, v in named.items()}
    found |= {f"initial {n}": v.grad.numpy() for n, v in first.items()}
    for l, (way, suffix) in PLACES:
        prefix, end = f"d{l}.{way}", f"_l{l}{suffix}"
        found[f"{prefix}.W"] = theirs[f"weight_ih{end}"].grad.numpy()
        found[f"{prefix}.R"] = theirs[f"weight_hh{end}"].grad.numpy()
        found[f"{prefix}.b"] = theirs[f"bias_ih{end}"].grad.numpy()
        if f"{prefix[1:]}.b_Rn" in params:
            found[f"{prefix}.b_Rn"] = theirs[f"bias_hh{end}"].grad.numpy()[-H:]
        if f"{prefix[1:]}.P" in params:
            found[f"{prefix}.P"] = theirs[f"weight_hr{end}"].grad.numpy()
    return found


def deep_case(layer):
    params, states = layer.random_params(I, seed=3), layer.states(B, I)
    state = random_arrays(states, np.float64, [3, 2])
    dstate = random_arrays({n: Array(a.shape) for n, a in states.items()}, np.float64, [3, 3])
    wanted = {"x": Array((T, B, I)), "dy": Array((T, B, layer.output_size(I)))}
    arrays = random_arrays(wanted, np.float64, [3, 4])
    return params, arrays["x"], state, arrays["dy"], dstate


@TARGETS
@pytest.mark.parametrize("lengths", [LENGTHS, np.full(B, T)], ids=["ragged", "whole"])
@pytest.mark.parametrize("name", DEEP)
def test_two_layers_both_ways(name, lengths, target):
    make, kind, options = DEEP[name]
    layer = make()
    case = params, x, state, dy, dstate = deep_case(layer)
    run = layer.forward(get_target(target), params, x, state, lengths)
    back = layer.backward(run.tape, dy, dstate)
    got = {"y": run.y, "dx": back.x} | {f"final {n}": v for n, v in run.state.items()}
    got |= {f"initial {n}": v for n, v in back.state.items()}
    got |= {f"d{n}": v for n, v in back.params.items()}
    assert_close(got, by_module(case, kind, options, lengths))


def test_their_final_states_are_the_two_ends_and_not_the_last_step():
    """The trap: of their output at a sequence's last step only the forward half has seen it all."""
    make, kind, options = DEEP["lstm"]
    layer = make()
    case = deep_case(layer)
    theirs = by_module(case, kind, options, LENGTHS)
    run = layer.forward(PLAIN, case[0], case[1], case[2], LENGTHS)
    ends = np.concatenate([theirs["final 1.forward.h"], theirs["final 1.backward.h"]], axis=1)
    np.testing.assert_allclose(two_ends(run.y, H, LENGTHS), ends, rtol=0, atol=TOLERANCE)
    last = last_step(run.y, LENGTHS)
    np.testing.assert_allclose(last[:, :H], ends[:, :H], rtol=0, atol=TOLERANCE)
    longer = LENGTHS > 1
    assert (np.abs(last - ends)[longer, H:] > 1e-3).any(axis=1).all()


# -- encoder–decoders in autograd ----------------------------------------------------------------

S, J, SIZE = 5, 2, 3
SOURCE_LENGTHS, TARGET_LENGTHS = np.array([5, 2, 1, 4]), np.array([3, 6, 0, 4])
SCORES = {"additive": Additive(4), "dot": Dot(), "general": General()}
KINDS = {
    "none": lambda score: None,
    "bahdanau": Bahdanau,
    "luong": lambda score: Luong(score, SIZE),
    "feeding": lambda score: InputFeeding(score, SIZE),
}


def cell_step(p, u, state):
    """Their LSTM or GRU cell; the projection is one more product."""
    if "c" not in state:
        zeros = torch.zeros(2 * p["b_Rn"].shape[0], dtype=torch.float64)
        bias = torch.cat([zeros, p["b_Rn"]])
        return {"h": torch.gru_cell(u, state["h"], p["W"], p["R"], p["b"], bias)}
    if "P" not in p:
        none = torch.zeros_like(p["b"])
        h, c = torch.lstm_cell(u, (state["h"], state["c"]), p["W"], p["R"], p["b"], none)
        return {"h": h, "c": c}
    i, f, g, o = (u @ p["W"].T + state["h"] @ p["R"].T + p["b"]).chunk(4, dim=1)
    c = torch.sigmoid(f) * state["c"] + torch.sigmoid(i) * torch.tanh(g)
    return {"h": (torch.sigmoid(o) * torch.tanh(c)) @ p["P"].T, "c": c}


def frozen(running, new, old):
    return {name: torch.where(running[:, None], v, old[name]) for name, v in new.items()}


def attend(p, score, q, h, allowed):
    """context (B,K) and weights (B,S) of q (B,Q) in h (B,S,K)."""
    if score == "additive":
        e = torch.tanh((q @ p["W"].T)[:, None] + h @ p["U"].T) @ p["v"]
    else:
        q = q @ p["W"] if score == "general" else q
        e = torch.einsum("bk,bsk->bs", q, h)
    alpha = torch.softmax(e.masked_fill(~allowed, -torch.inf), dim=1)
    return torch.einsum("bs,bsk->bk", alpha, h), alpha


def by_autograd(kind, score, p, source, x, state, mask):
    """y (T,B,·), weights (T,B,S) and the final states."""
    encoder, decoder, own = (part(p, name) for name in ("encoder", "decoder", "attention"))
    now, h = part(state, "encoder"), []
    for s in range(S):
        now = frozen(torch.tensor(s < SOURCE_LENGTHS), cell_step(encoder, source[s], now), now)
        h.append(now["h"])
    h = torch.stack(h, dim=1)
    allowed = torch.tensor((np.arange(S) < SOURCE_LENGTHS[:, None]) & mask.T)
    y, weights = [], []
    fed = torch.zeros(B, SIZE, dtype=torch.float64)
    for t in range(T):
        running, alpha = torch.tensor(t < TARGET_LENGTHS), torch.zeros(B, S)
        u = x[t]
        if kind == "bahdanau":
            context, alpha = attend(own, score, now["h"], h, allowed)
            u = torch.cat([u, context], dim=1)
        if kind == "feeding":
            u = torch.cat([u, fed], dim=1)
        now = frozen(running, cell_step(decoder, u, now), now)
        out = now["h"]
        if kind in ("luong", "feeding"):
            context, alpha = attend(own, score, out, h, allowed)
            out = fed = torch.tanh(torch.cat([context, out], dim=1) @ own["W_c"].T)
        y.append(out * running[:, None])
        weights.append(alpha * running[:, None])
    return torch.stack(y), torch.stack(weights), now


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru", PROJECTED])
def test_attention_against_autograd(cell, kind, score):
    layer = Recurrent(cell, H)
    network = EncoderDecoder(layer, Recurrent(cell, H), None, KINDS[kind](SCORES[score]))
    params = network.random_params(J, I, seed=4)
    state = random_arrays(network.states(B, J, I), np.float64, [4, 2])
    decoder = {n: Array(a.shape) for n, a in network.decoder_states(B, J, I).items()}
    dstate = random_arrays(joined({"decoder": decoder}), np.float64, [4, 3])
    wanted = {"source": Array((S, B, J)), "x": Array((T, B, I))}
    wanted["dy"] = Array((T, B, network.output_size(J, I)))
    arrays = random_arrays(wanted, np.float64, [4, 4])
    mask = np.ones((S, B), bool)
    mask[1, 0] = mask[3, 0] = mask[0, 3] = False
    given = {"source_mask": None if kind == "none" else mask, "state": state}
    ends = {"source_lengths": SOURCE_LENGTHS, "lengths": TARGET_LENGTHS}
    run = network.forward(PLAIN, params, arrays["source"], arrays["x"], **ends, **given)
    back = network.backward(run.tape, arrays["dy"], dstate)
    got = {"y": run.y, "dsource": back.source, "dx": back.x}
    got |= {f"final {n}": v for n, v in run.state.items()}
    got |= {f"d{n}": v for n, v in back.params.items()}
    got |= {f"initial {n}": v for n, v in back.state.items()}

    p, first = leaves(params), leaves(state)
    inputs = leaves({n: arrays[n] for n in ("source", "x")})
    y, weights, final = by_autograd(kind, score, p, inputs["source"], inputs["x"], first, mask)
    final = {f"decoder.{name}": v for name, v in final.items()}
    differentiate(y, final, arrays["dy"], dstate)
    want = {"y": y.detach().numpy()} | {f"d{n}": gradient(v) for n, v in inputs.items()}
    want |= {f"final {n}": v.detach().numpy() for n, v in final.items()}
    want |= {f"d{n}": gradient(v) for n, v in p.items()}
    want |= {f"initial {n}": gradient(v) for n, v in first.items()}
    if kind != "none":
        got["weights"], want["weights"] = run.weights, weights.detach().numpy()
    assert_close(got, want)


# -- one-to-many ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru", PROJECTED])
def test_feedback_against_autograd(cell):
    network = Feedback(Recurrent(cell, H), I, True)
    params = network.random_params(seed=5)
    state = random_arrays(network.states(B), np.float64, [5, 2])
    shapes = {n: Array(a.shape) for n, a in state.items()}
    dstate = random_arrays(shapes, np.float64, [5, 3])
    wanted = {"first": Array((B, I)), "dy": Array((T, B, I))}
    arrays = random_arrays(wanted, np.float64, [5, 4])
    run = network.forward(PLAIN, params, T, arrays["first"], state, TARGET_LENGTHS)
    back = network.backward(run.tape, arrays["dy"], dstate)

    p, first, u = leaves(params), leaves(state), leaves({"u": arrays["first"]})["u"]
    now, fed, y = part(first, "layer"), u, []
    for t in range(T):
        running = torch.tensor(t < TARGET_LENGTHS)
        now = frozen(running, cell_step(part(p, "layer"), fed, now), now)
        fed = now["h"] @ p["output.weight"].T + p["output.bias"]
        y.append(fed * running[:, None])
    y, final = torch.stack(y), joined({"layer": now})
    differentiate(y, final, arrays["dy"], dstate)
    got = {"y": run.y, "dfirst": back.first} | {f"final {n}": v for n, v in run.state.items()}
    got |= {f"d{n}": v for n, v in (back.params | back.state).items()}
    want = {"y": y.detach().numpy(), "dfirst": gradient(u)}
    want |= {f"final {n}": v.detach().numpy() for n, v in final.items()}
    assert_close(got, want | {f"d{n}": gradient(v) for n, v in (p | first).items()})
