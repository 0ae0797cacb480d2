"""The reference's attention, encoder–decoder, feedback and reminded networks: complex step."""

import flint
import numpy as np
import pytest

import rnnbench_reference as ref
from rnnbench_reference import attention, augmented, encoder_decoder, feedback
from rnnbench_reference.sizes import shape_of

STEP = 1e-30
S, T, B, I, J, H, A = 4, 5, 3, 3, 2, 4, 3
SOURCE_LENGTHS, LENGTHS = np.array([4, 1, 3]), np.array([2, 5, 0])
CELLS = ["lstm", "gru", "elman_tanh"]


def drawn(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}


def cell_shapes(part, cell, I):
    sizes = {"I": I, "H": H}
    return {f"{part}.{k}": shape_of(s, sizes) for k, s in ref.get_cell(cell).shapes.items()}


def attention_shapes(score, query, source, width=None):
    shapes = {
        "additive": {"W": (A, query), "U": (A, source), "v": (A,)},
        "dot": {},
        "general": {"W": (query, source)},
    }[score]
    shapes = shapes if width is None else shapes | {"W_c": (width, source + query)}
    return {f"attention.{name}": shape for name, shape in shapes.items()}


def states(part, cell):
    return {f"{part}{name}": (B, H) for name in ref.get_cell(cell).states}


def part_of(arrays, part):
    return {k.removeprefix(f"{part}."): v for k, v in arrays.items() if k.startswith(f"{part}.")}


def assert_complex_step(loss, arrays, gradients, seed=9):
    """``loss(arrays)`` has these gradients, along two random directions of each array."""
    assert gradients.keys() == arrays.keys()
    rng = np.random.default_rng(seed)
    for name, gradient in gradients.items():
        assert gradient.shape == arrays[name].shape, name
        for _ in range(2):
            direction = rng.standard_normal(gradient.shape)
            moved = {k: v.astype(complex) for k, v in arrays.items()}
            moved[name] = moved[name] + 1j * STEP * direction
            want = loss(moved).imag / STEP
            terms = gradient * direction
            assert abs(terms.sum() - want) <= 1e-13 * np.abs(terms).sum() + 1e-15, name


@pytest.mark.parametrize("kind", ["additive", "dot", "general"])
def test_attend(kind):
    shapes = part_of(attention_shapes(kind, H, H), "attention")
    arrays = drawn(shapes | {"query": (H,), "source": (S, H)})
    dcontext = np.random.default_rng(1).standard_normal(H)

    def run(a):
        return attention.attend(kind, {k: a[k] for k in shapes}, a["query"], a["source"])

    context, weights = run(arrays)
    energies = [
        attention.score(kind, arrays, arrays["query"], h) for h in arrays["source"]
    ]  # fmt: skip
    naive = np.exp(energies) / np.exp(energies).sum()
    np.testing.assert_allclose(weights, naive, rtol=1e-15)
    np.testing.assert_allclose(context, (naive[:, None] * arrays["source"]).sum(0), rtol=1e-14)
    params = {k: arrays[k] for k in shapes}
    dparams, dq, dsource = attention.attend_backward(
        kind, params, arrays["query"], arrays["source"], weights, dcontext
    )
    found = dparams | {"query": dq, "source": dsource}
    assert_complex_step(lambda a: (run(a)[0] * dcontext).sum(), arrays, found)
    with pytest.raises(AssertionError):
        wrong = found | {"source": dsource * 1.001}
        assert_complex_step(lambda a: (run(a)[0] * dcontext).sum(), arrays, wrong)


NETWORKS = [
    *[(kind, "additive", cell) for kind in encoder_decoder.KINDS for cell in CELLS],
    *[(kind, score, "gru") for kind in encoder_decoder.KINDS[1:] for score in ("dot", "general")],
]


def network(kind, score, cell):
    """(shapes of all arrays, function of the arrays)."""
    late = kind in ("luong", "feeding")
    extra = {None: 0, "bahdanau": H, "luong": 0, "feeding": 2}[kind]
    shapes = cell_shapes("encoder", cell, J) | cell_shapes("decoder", cell, I + extra)
    if kind is not None:
        shapes |= attention_shapes(score, H, H, 2 if late else None)
    params = list(shapes)
    start = states("encoder.", cell)
    shapes |= start | {"source": (S, B, J), "x": (T, B, I)}
    mask = np.ones((S, B), bool)
    mask[1, 0] = kind is None

    def run(a):
        return encoder_decoder.forward(
            cell,
            cell,
            {k: a[k] for k in params},
            a["source"],
            a["x"],
            SOURCE_LENGTHS,
            LENGTHS,
            {k: a[k] for k in start},
            None,
            kind,
            score,
            mask,
        )

    return shapes, run


@pytest.mark.parametrize("kind, score, cell", NETWORKS)
def test_encoder_decoder(kind, score, cell):
    shapes, run = network(kind, score, cell)
    arrays = drawn(shapes)
    result = run(arrays)
    up = drawn({"y": result.y.shape} | {n: v.shape for n, v in result.state.items()}, seed=1)
    dstate = {n: up[n] for n in result.state}

    def loss(a):
        found = run(a)
        final = sum((found.state[n] * d).sum() for n, d in dstate.items())
        return (found.y * up["y"]).sum() + final

    found = encoder_decoder.backward(result.tape, up["y"], dstate)
    gradients = found.params | found.state | {"source": found.source, "x": found.x}
    assert_complex_step(loss, arrays, gradients)
    assert not found.x[2:, 0].any() and not found.source[1:, 1].any()
    if kind is not None:
        sums = result.weights.sum(axis=2)
        np.testing.assert_allclose(sums, np.arange(T)[:, None] < LENGTHS, rtol=1e-14)


def test_a_wrong_query_shows():
    """Bahdanau's attention looks with the state before the step: one after it is another network,
    and the check above is sharp enough to tell their gradients apart."""
    shapes, run = network("bahdanau", "dot", "gru")
    arrays = drawn(shapes)
    result = run(arrays)
    h, x, y, records = result.tape.sequences[0][-1]
    assert len(records) == 2
    shifted = [(r[0], records[-1][1], *r[2:]) for r in records]
    result.tape.sequences[0] = (*result.tape.sequences[0][:-1], (h, x, y, shifted))
    dy = drawn({"y": result.y.shape}, seed=1)["y"]
    none = {n: np.zeros_like(v) for n, v in result.state.items()}
    found = encoder_decoder.backward(result.tape, dy, none)
    with pytest.raises(AssertionError):
        assert_complex_step(
            lambda a: (run(a).y * dy).sum(),
            arrays,
            found.params | found.state | {"source": found.source, "x": found.x},
        )


def test_bridge_of_several_states():
    """gru's h twice side by side as the decoder's h of twice the width, its c given."""
    shapes = cell_shapes("encoder", "gru", J)
    shapes |= {
        f"decoder.{k}": shape_of(s, {"I": I, "H": 2 * H})
        for k, s in ref.get_cell("lstm").shapes.items()
    }
    names = list(shapes)
    start = {"encoder.h": (B, H), "decoder.c": (B, 2 * H)}
    shapes |= start | {"source": (S, B, J), "x": (T, B, I)}
    arrays = drawn(shapes)

    def run(a):
        params, state = {k: a[k] for k in names}, {k: a[k] for k in start}
        bridge = {"h": ("h", "h")}
        return encoder_decoder.forward(
            "gru", "lstm", params, a["source"], a["x"], SOURCE_LENGTHS, LENGTHS, state, bridge
        )

    result = run(arrays)
    up = drawn({n: v.shape for n, v in result.state.items()} | {"y": result.y.shape}, seed=1)
    dy = up.pop("y")
    found = encoder_decoder.backward(result.tape, dy, up)
    assert_complex_step(
        lambda a: (run(a).y * dy).sum() + sum((run(a).state[n] * d).sum() for n, d in up.items()),
        arrays,
        found.params | found.state | {"source": found.source, "x": found.x},
    )
    with pytest.raises(ValueError, match="is missing, expected: encoder"):
        encoder_decoder.forward(
            "gru", "lstm", {}, arrays["source"], arrays["x"], state={}, bridge={}
        )


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_feedback(cell, project):
    width = 2 if project else H
    shapes = cell_shapes("layer", cell, width)
    if project:
        shapes |= {"output.weight": (width, H), "output.bias": (width,)}
    names, start = list(shapes), states("", cell)
    shapes |= start | {"first": (B, width)}
    arrays = drawn(shapes)

    def run(a):
        params, state = {k: a[k] for k in names}, {k: a[k] for k in start}
        return feedback.forward(cell, params, T, a["first"], state, LENGTHS)

    result = run(arrays)
    up = drawn({n: v.shape for n, v in result.state.items()} | {"y": result.y.shape}, seed=1)
    dy = up.pop("y")
    found = feedback.backward(result.tape, dy, up)
    assert_complex_step(
        lambda a: (run(a).y * dy).sum() + sum((run(a).state[n] * d).sum() for n, d in up.items()),
        arrays,
        found.params | found.state | {"first": found.first},
    )


REMINDED = [
    augmented.Options(every, top_k, truncation, score, weighting)
    for every, top_k, truncation in [(1, None, None), (1, 1, None), (2, 1, 2), (1, 2, 3)]
    for score, weighting in [("additive", "softmax"), ("dot", "shifted"), ("general", "shifted")]
]


def reminded(cell, options):
    shapes = cell_shapes("layer", cell, I) | attention_shapes(options.score, H, H)
    names, start = list(shapes), states("", cell)
    lengths = np.array([5, 4, 0])

    def run(a, constants=None):
        params, state = {k: a[k] for k in names}, {k: a[k] for k in start}
        return augmented.forward(cell, params, a["x"], state, lengths, options, constants)

    return shapes | start | {"x": (T, B, I)}, run


def reminded_loss(result, up):
    total = (result.y * up["y"]).sum() + (result.summaries * up["s"]).sum()
    return total + sum((v * up[n]).sum() for n, v in result.state.items())


@pytest.mark.parametrize("options", REMINDED, ids=lambda o: "-".join(map(str, o)))
@pytest.mark.parametrize("cell", ["lstm", "elman_tanh"])
def test_reminded(cell, options):
    """With edges: of the function whose carried states are constants there, and only there."""
    shapes, run = reminded(cell, options)
    arrays = drawn(shapes)
    result = run(arrays)
    up = drawn({n: v.shape for n, v in result.state.items()}, seed=1)
    up |= drawn({"y": result.y.shape, "s": result.y.shape}, seed=2)
    found = augmented.backward(result.tape, up["y"], up["s"], {n: up[n] for n in result.state})
    gradients = found.params | found.state | {"x": found.x}
    assert_complex_step(lambda a: reminded_loss(run(a, result.carried), up), arrays, gradients)
    if options.truncation is not None:
        with pytest.raises(AssertionError):
            assert_complex_step(lambda a: reminded_loss(run(a), up), arrays, gradients)


def test_only_the_largest_count():
    shapes, run = reminded("lstm", augmented.Options(top_k=2))
    weights = run(drawn(shapes)).weights
    for t in range(5):
        assert np.count_nonzero(weights[t, 0]) == min(t, 2)
        assert weights[t, 0].sum() == pytest.approx(min(t, 1), rel=1e-15)
    assert not weights[:, 2].any() and not weights[4, 1].any()


@pytest.mark.parametrize("kind", encoder_decoder.KINDS)
def test_in_balls_and_in_float32(kind, to_balls):
    """The float64 result lies in the balls of 53 bits, widened: their rounding is as ours."""
    shapes, run = network(kind, "additive", "gru")
    arrays = drawn(shapes)
    result = run(arrays)
    with flint.ctx.workprec(53):
        balls = run({k: to_balls(v) for k, v in arrays.items()})
    for f, b in zip(result.y.flat, balls.y.flat, strict=True):
        assert abs(flint.arb(float(f)) - b.mid()) <= 4 * b.rad()
    single = run({k: v.astype(np.float32) for k, v in arrays.items()})
    assert single.y.dtype == np.float32
    np.testing.assert_allclose(single.y, result.y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["phased_lstm", "clockwork"])
def test_what_steps_are_given_beside_x(cell):
    """Without attention a pair is one run after the other; fed with what it gave, feedback is one
    run. Each step gets its own numbers."""
    shapes = cell_shapes("encoder", cell, J) | cell_shapes("decoder", cell, I)
    start = states("encoder.", cell)
    arrays = drawn(shapes | start | {"source": (S, B, J), "x": (T, B, I)})
    ((name, letter),) = ref.get_cell(cell).inputs.items()
    width = (H,) if letter else ()
    times = drawn({"encoder": (S, B, *width), "decoder": (T, B, *width)}, seed=5)
    params = {k: arrays[k] for k in shapes}
    ends = SOURCE_LENGTHS, LENGTHS
    given = {f"{part}.{name}": values for part, values in times.items()}
    first = {k: arrays[k] for k in start}
    pair = encoder_decoder.forward(
        cell, cell, params, arrays["source"], arrays["x"], *ends, first, inputs=given
    )

    def alone(part, x, state, lengths):
        return ref.forward(cell, part_of(params, part), x, state, lengths, {name: times[part]})

    read = alone("encoder", arrays["source"], part_of(first, "encoder"), SOURCE_LENGTHS)
    last = {k: history[-1] for k, history in read.states.items()}
    written = alone("decoder", arrays["x"], last, LENGTHS)
    np.testing.assert_allclose(pair.y, written.y, rtol=0, atol=1e-15)

    params, u = drawn(cell_shapes("layer", cell, H), seed=3), drawn({"u": (B, H)})["u"]
    state = drawn(states("", cell), seed=4)
    fed = feedback.forward(cell, params, T, u, state, LENGTHS, {name: times["decoder"]})
    x = np.concatenate([u[None], fed.y[:-1]])
    own = part_of(params, "layer"), x, state, LENGTHS, {name: times["decoder"]}
    np.testing.assert_allclose(fed.y, ref.forward(cell, *own).y, rtol=0, atol=1e-15)

    with pytest.raises(ValueError, match=f"inputs: '{name}' is missing"):
        feedback.forward(cell, params, T, u, state, LENGTHS)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"score": "cosine"}, "score: 'cosine', allowed: additive, dot, general"),
        ({"attention": "late"}, "attention: 'late', allowed: bahdanau, luong, feeding"),
        ({"bridge": {"s": ("h",)}}, "bridge: 's', allowed: h"),
        ({"bridge": {"h": ("s",)}}, "bridge of h: 's', allowed: h"),
    ],
)
def test_bad_options(change, message):
    arrays = drawn(network(None, "dot", "gru")[0])
    given = {"source": arrays["source"], "x": arrays["x"], "params": arrays}
    with pytest.raises(ValueError, match=message):
        encoder_decoder.forward("gru", "gru", **given, **change)


def test_an_empty_source_is_refused():
    arrays = drawn(network("luong", "dot", "gru")[0])
    params = {k: v for k, v in arrays.items() if k.split(".")[0] in ("decoder", "attention")}
    params |= {k: v for k, v in arrays.items() if k.startswith("encoder.") and k != "encoder.h"}
    with pytest.raises(ValueError, match="sequence 1: its source leaves attention nothing"):
        encoder_decoder.forward(
            "gru",
            "gru",
            params,
            arrays["source"],
            arrays["x"],
            np.array([1, 0, 1]),
            LENGTHS,
            {"encoder.h": arrays["encoder.h"]},
            None,
            "luong",
            "dot",
        )
