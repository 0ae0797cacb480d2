"""What verify asks of a target: each check yields pairs of arrays that must agree.

The reference always runs in float64 on the very numbers the kernel got, so that a float32
kernel's whole error shows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.comparisons import Result, allowance, compare, smallest_difference
from rnnbench.conformance.telling import telling
from rnnbench.gradients.runner import run as run_schedule
from rnnbench.gradients.scan import Scan
from rnnbench.gradients.schedule import chunked
from rnnbench.layers.heads import head_loss
from rnnbench.params import Case, random_case
from rnnbench.tasks.text import Vocabulary, python_topics

DOUBLE = np.dtype("float64")


@dataclass(frozen=True)
class Context:
    """What is checked: a target (planted or not), a cell, a dtype, against the reference."""

    target: object
    reference: object
    cell: str
    dtype: np.dtype
    quick: bool  # a simulator: small sizes only
    thorough: bool = False  # every gradient algorithm and network, else those of this turn
    turn: int = 0


def as_type(case: Case, dtype) -> Case:
    """The case's numbers in a dtype."""

    def cast(value):
        return {k: v.astype(dtype) for k, v in value.items()}

    return replace(
        case,
        params=cast(case.params),
        x=case.x.astype(dtype),
        state=cast(case.state),
        dy=case.dy.astype(dtype),
        dstate=cast(case.dstate),
        inputs=cast(case.inputs),
    )


def as_double(case: Case) -> Case:
    """The same numbers in float64."""
    return as_type(case, DOUBLE)


def everything(target, case: Case) -> dict[str, np.ndarray]:
    """y, every state history and every gradient, by name."""
    y, states, tape = target.forward(*case.forward_arguments())
    grads = target.backward(tape, case.dy, case.dstate)
    named = {"y": y} | {f"states.{n}": history for n, history in states.items()}
    named |= {"dx": grads.x}
    named |= {f"d{name}": value for name, value in grads.params.items()}
    return named | {f"d{name}[0]": value for name, value in grads.state.items()}


def against_reference(name: str, c: Context, case: Case) -> Iterator[Result]:
    got = everything(c.target, case)
    want = everything(c.reference, as_double(case))
    yield from compare(name, got, want, allowance(c.dtype, case), c.dtype)


def check_random(c: Context) -> Iterator[Result]:
    """Random cases, ragged and full, at odd sizes."""
    yield from against_reference("random", c, random_case(c.cell, dtype=c.dtype, seed=1))
    if not c.quick:
        case = random_case(c.cell, T=6, B=9, I=19, H=37, dtype=c.dtype, seed=2)
        yield from against_reference("random", c, case)
        case = random_case(c.cell, T=4, B=2, I=3, H=16, dtype=c.dtype, seed=3, ragged=False)
        yield from against_reference("random", c, case)


def check_edges(c: Context) -> Iterator[Result]:
    """A single step; a single sequence."""
    for name, sizes in (("T=1", {"T": 1, "B": 2, "H": 11}), ("B=1", {"T": 4, "B": 1})):
        case = random_case(c.cell, **sizes, dtype=c.dtype, seed=4, ragged=False)
        yield from against_reference(name, c, case)


def check_ragged(c: Context) -> Iterator[Result]:
    """A ragged batch equals each sequence alone, its parameters' gradients their sum; a sequence
    of length 0 changes nothing."""
    case = random_case(c.cell, T=4, B=3, dtype=c.dtype, seed=5)
    case = replace(case, lengths=np.array([4, 0, 2]))
    got = everything(c.target, case)
    names = get_cell(c.cell).spec.state_names
    sums = {f"d{name}": np.zeros(v.shape) for name, v in case.params.items()}
    for b, length in enumerate(case.lengths):
        pick = slice(b, b + 1)
        first = {f"states.{n}": got[f"states.{n}"][-1][pick] for n in names}
        first |= {f"d{n}[0]": got[f"d{n}[0]"][pick] for n in names}
        if length == 0:
            want = {f"states.{n}": case.state[n][pick] for n in names}
            want |= {f"d{n}[0]": case.dstate[n][pick] for n in names}
        else:
            whole = everything(c.target, case.cut(slice(length), pick))
            for name in sums:
                sums[name] += whole[name]
            want = {f"states.{n}": whole[f"states.{n}"][-1] for n in names}
            want |= {f"d{n}[0]": whole[f"d{n}[0]"] for n in names}
            first |= {"y": got["y"][:length, pick], "dx": got["dx"][:length, pick]}
            want |= {"y": whole["y"], "dx": whole["dx"]}
        want = {n: np.asarray(v, DOUBLE) for n, v in want.items()}
        yield from compare("ragged=alone", first, want, allowance(c.dtype, case), c.dtype)
    yield from compare("ragged=alone", got, sums, allowance(c.dtype, case), c.dtype)


def check_reductions(c: Context) -> Iterator[Result]:
    """With the declared parameters zero the cell equals another, here and on the reference."""
    for reduction in get_cell(c.cell).spec.reductions:
        case = random_case(c.cell, dtype=c.dtype, seed=6)
        params = {k: np.zeros_like(v) if k in reduction.zero else v for k, v in case.params.items()}
        other = {k: v for k, v in params.items() if k not in reduction.zero}
        got = everything(c.target, replace(case, params=params))
        simple = replace(case, cell=reduction.equals, params=other)
        name = f"{','.join(reduction.zero)}=0" if reduction.zero else f"= {reduction.equals}"
        same = {k: v.astype(DOUBLE) for k, v in everything(c.target, simple).items()}
        yield from compare(name, got, same, allowance(c.dtype, case), c.dtype)
        want = everything(c.reference, as_double(simple))
        yield from compare(name, got, want, allowance(c.dtype, case), c.dtype)


def check_chunks(c: Context) -> Iterator[Result]:
    """Chunks with the state carried: the same outputs, and the reference's truncated gradient."""
    case = random_case(c.cell, T=5, dtype=c.dtype, seed=7, ragged=False)

    def run(target, case):
        result = run_schedule(chunked(5, 2), target, case.cell, case.params, case.x, case.dy,
                              case.state, None, case.dstate, case.inputs)  # fmt: skip
        return {"y": result.y, "dx": result.x} | {f"d{k}": v for k, v in result.params.items()}

    want = run(c.reference, as_double(case))
    yield from compare("chunks", run(c.target, case), want, allowance(c.dtype, case), c.dtype)


def check_direction(c: Context) -> Iterator[Result]:
    """The gradient along a random direction, against central differences of fourth order.

    A float64 kernel is differenced itself; a float32 one, too coarse for that, is held against
    differences of the reference. Step 1e-4: truncation 1e-16, rounding 1e-16/1e-4.
    """
    case = random_case(c.cell, T=4, dtype=c.dtype, seed=8)
    got = everything(c.target, case)
    rng = np.random.default_rng(9)
    double = as_double(case)
    moved = {"x": double.x, **double.params, **{f"{k}[0]": v for k, v in double.state.items()}}
    direction = {k: rng.uniform(-1, 1, v.shape) for k, v in moved.items()}
    analytic = sum(
        float((np.asarray(got[f"d{k}"], DOUBLE) * d).sum()) for k, d in direction.items()
    )
    target = c.target if c.dtype == DOUBLE else c.reference

    def loss(step: float) -> float:
        shifted = replace(
            double,
            x=double.x + step * direction["x"],
            params={k: v + step * direction[k] for k, v in double.params.items()},
            state={k: v + step * direction[f"{k}[0]"] for k, v in double.state.items()},
        )
        y, states, _ = target.forward(*shifted.forward_arguments())
        total = float((np.asarray(y) * double.dy).sum())
        return total + sum(float((states[k][-1] * v).sum()) for k, v in double.dstate.items())

    scale = sum(float(np.abs(got[f"d{k}"] * d).sum()) for k, d in direction.items())
    limit = max(1e-9, 8 * float(np.finfo(c.dtype).eps)) * scale
    yield smallest_difference("direction", loss, analytic, limit)


def bounded(reference, case: Case, most: float = 1e3) -> Case:
    """The case with its parameters halved until the reference's output stays small: gates without
    an upper bound may make a state grow without end."""
    while True:
        with np.errstate(all="ignore"):
            y = reference.forward(*as_double(case).forward_arguments()).y
        if np.abs(y).max() <= most:
            return case
        case = replace(case, params={k: v / 2 for k, v in case.params.items()})


def check_text(c: Context) -> Iterator[Result]:
    """Real input: English text, one-hot, next-character softmax loss, all gradients.

    The loss is summed: averaged, its gradients would be small beside the tolerance.
    """
    T, B, H = (6, 2, 7) if c.quick else (20, 3, 13)
    text = python_topics()[1000 : 1000 + (T + 1) * B]
    vocabulary = Vocabulary.of(text, least=1)
    H = len(vocabulary) if get_cell(c.cell).spec.equal_widths else H
    tokens = vocabulary.encode(text).reshape(B, T + 1).T
    case = random_case(c.cell, T=T, B=B, I=len(vocabulary), H=H, dtype=c.dtype, seed=10,
                       ragged=False)  # fmt: skip
    one_hot = np.eye(len(vocabulary), dtype=c.dtype)[tokens[:-1]]
    rng = np.random.default_rng(11)
    weight = rng.uniform(-0.5, 0.5, (len(vocabulary), case.dy.shape[2])).astype(c.dtype)
    bias = rng.uniform(-0.5, 0.5, len(vocabulary)).astype(c.dtype)
    case = bounded(c.reference, replace(case, x=one_hot))

    def run(target, case):
        y, _, tape = target.forward(*case.forward_arguments())
        kind = case.x.dtype
        head = head_loss("softmax", target, y, weight.astype(kind), bias.astype(kind), tokens[1:],
                         reduction="sum")  # fmt: skip
        grads = target.backward(tape, head.dy)
        named = {"loss": np.asarray(head.loss).reshape(1), "y": y, "dV": head.dweight}
        named |= {"dc": head.dbias, "dx": grads.x}
        return named | {f"d{k}": v for k, v in grads.params.items()}

    want = run(c.reference, as_double(case))
    yield from compare("text", run(c.target, case), want, allowance(c.dtype, case), c.dtype)


def check_nan(c: Context) -> Iterator[Result]:
    """NaN and inf where nothing depends on them never leak: in padding, and in the state of an
    empty sequence."""
    case = random_case(c.cell, T=4, dtype=c.dtype, seed=12)
    case = replace(case, lengths=np.array([4, 0, 2]))
    past = np.arange(4)[:, None] >= case.lengths
    x, dy = case.x.copy(), case.dy.copy()
    x[past], dy[past] = np.nan, np.inf
    inputs = {name: v.copy() for name, v in case.inputs.items()}
    for value in inputs.values():
        value[past] = np.nan
    state = {name: v.copy() for name, v in case.state.items()}
    for value, bad in zip(state.values(), (np.nan, np.inf), strict=False):
        value[1] = bad
    got = everything(c.target, replace(case, x=x, dy=dy, state=state, inputs=inputs))
    want = everything(c.reference, as_double(case))
    for name in [f"states.{n}" for n in state]:  # the empty sequence keeps its state
        got[name] = np.where(np.isfinite(got[name]), got[name], want[name]).astype(c.dtype)
    yield from compare("NaN padding", got, want, allowance(c.dtype, case), c.dtype)


def check_scan(c: Context) -> Iterator[Result]:
    """Cells linear in their states: the parallel scan gives what the steps give."""
    if get_cell(c.cell).spec.scan:
        case = random_case(c.cell, T=6, dtype=c.dtype, seed=13)
        got = everything(Scan(c.target), case)
        want = everything(c.reference, as_double(case))
        yield from compare("scan", got, want, allowance(c.dtype, case), c.dtype)


def check_options(c: Context) -> Iterator[Result]:
    """A variant's options where each of them changes the result."""
    if get_cell(c.cell).options:
        case = as_type(telling(random_case(c.cell, seed=14)), c.dtype)
        yield from against_reference("options", c, case)
