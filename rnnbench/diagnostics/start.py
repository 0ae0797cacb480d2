"""What is looked at: a cell with the numbers it starts from, and the sequences it reads.

Whether gradients vanish is a matter of the start as much as of the cell. So a start is part of what
is asked for: ``name:gain=3`` multiplies the recurrent matrices by 3, ``name:remember=100`` biases
the gates that keep a state so that they do for some 100 steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import check_count
from rnnbench.diagnostics.flow import Path, follow, step_jacobians
from rnnbench.errors import InputError, shown, unknown
from rnnbench.initialise import init_params
from rnnbench.spec import BIAS, MATRIX, Cell, CellSpec

FAR = 40.0  # a bias that leaves a sigmoid at exactly 0 or 1 in float64
KEYS = ("gain", "remember")


@dataclass(frozen=True)
class Start:
    """A cell by name; gain of its recurrent matrices; remember: steps, 0 for unbiased gates.

    None: the default of all cells, taken where the cell has such matrices or gates.
    """

    cell: str
    gain: float | None = None
    remember: int | None = None

    @property
    def label(self) -> str:
        given = {name: getattr(self, name) for name in KEYS}
        told = ",".join(f"{k}={v:g}" for k, v in given.items() if v is not None)
        return f"{self.cell}:{told}" if told else self.cell


def read_start(text: str) -> Start:
    """``name``, ``name[option=value]``, either with ``:gain=3,remember=100`` behind it.

    InputError for an unknown cell, option or key, and for a value that is no such number.
    """
    closing = text.rfind("]") + 1  # an option's value may hold a colon
    name, colon, rest = text[closing:].partition(":")
    cell = get_cell(text[:closing] + name)
    values: dict[str, float | int] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if key not in KEYS:
            raise unknown(f"start of {cell.name}", key, [f"{key}=…" for key in KEYS])
        if not equals or key in values:
            raise InputError(f"{shown(text)}: a start is written key=value, each once")
        try:
            values[key] = float(value) if key == "gain" else int(value)
        except ValueError:
            kind = "a number" if key == "gain" else "a whole number"
            raise InputError(f"{key} of {cell.name} is {shown(value)}; needs {kind}") from None
    if "remember" in values:
        check_remember(values["remember"])
    return Start(cell.name, **values)


def check_remember(steps: int) -> int:
    """0 for unbiased gates, else at least 2 steps."""
    if check_count("remember", steps, 0) == 1:
        raise InputError("remember is 1; needs at least 2 steps, or 0 for unbiased gates")
    return steps


def has_recurrent_matrix(spec: CellSpec) -> bool:
    return any(p.kind == MATRIX and p.columns == p.width for p in spec.parameters)


def keeping_gates(cell: str | Cell) -> dict[str, int]:
    """The gates that keep a state: name -> +1 or −1, the sign of the bias that does it.

    Found by trying: with such a gate's bias far on that side, and not on the other, the Jacobian
    of one step has the identity where a state meets itself. (A bias that drives an activation into
    saturation on both sides does so too and is none.) Where none does, the gate that the spec
    calls the forget gate: with a peephole on the state the identity is never quite there.
    """
    cell = get_cell(cell)
    path = _small_path(cell)
    plain = _kept(path)
    found = {}
    for gate in cell.spec.gates:
        rows = bias_rows(cell.spec, gate)
        if not rows:
            continue
        kept = {}
        for sign in (1, -1):
            params = with_bias(cell, path.params, gate, sign * FAR)
            kept[sign] = _kept(follow(path.target, cell, params, path.x, _first(path), path.inputs))
        fresh = {sign: kept[sign] - plain for sign in kept}
        if bool(fresh[1]) != bool(fresh[-1]):
            found[gate] = 1 if fresh[1] else -1
    if not found and bias_rows(cell.spec, cell.spec.forget_gate):
        found[cell.spec.forget_gate] = 1
    return found


def _small_path(cell: Cell) -> Path:
    """One step of random numbers."""
    from rnnbench.params import random_case
    from rnnbench.plain import PlainTarget

    case = random_case(cell, T=1, B=2, I=3, H=3, seed=1, ragged=False)
    return follow(PlainTarget(), cell, case.params, case.x, case.state, case.inputs)


def _first(path: Path) -> dict[str, np.ndarray]:
    return {name: history[0] for name, history in path.states.items()}


def _kept(path: Path) -> set[str]:
    """The states whose own block of J is the identity."""
    jacobian = step_jacobians(path, 0, 1)[0]
    found = set()
    for name, place in path.places.items():
        block = jacobian[:, place, place]
        if np.abs(block - np.eye(block.shape[-1])).max() < 1e-9:
            found.add(name)
    return found


def bias_rows(spec: CellSpec, gate: str) -> list[str]:
    """The biases with rows for this gate, one for each slot that they feed: of two that are added
    to the same slot the first."""
    fed, found = set(), {}
    for k, stage in enumerate(spec.stages):
        for term in stage.terms:
            if term.source or not term.parameter or spec.parameter(term.parameter).kind != BIAS:
                continue
            for name, slot in zip(term.gates, term.slots, strict=True):
                if name == gate and (k, slot) not in fed:
                    fed.add((k, slot))
                    found[term.parameter] = None
    return list(found)


def with_bias(cell: Cell, params, gate: str, value: float) -> dict[str, np.ndarray]:
    """The parameters with ``value`` added to the gate's biases."""
    changed = dict(params)
    for name in bias_rows(cell.spec, gate):
        p = cell.spec.parameter(name)
        bias = np.array(params[name])
        bias.reshape(len(p.gates), -1)[p.gates.index(gate)] += value
        changed[name] = bias
    return changed


def start_params(start: Start, I: int, H: int, seed: int) -> tuple[dict[str, np.ndarray], dict]:
    """(parameters in float64, gate -> what was added to its bias) at this start.

    ``init_params``, then log(N − 1) on the side that keeps, for N steps to remember: such a gate
    keeps 1 − 1/N of the state a step, so that after N steps 1/e of it is left. This is the upper
    end of the range that Tallec & Ollivier 2018, arXiv:1804.11188, section 3, draw from. Where the
    gate acts in each of L layers of a step (rhn), or is a share of two (min_lstm's f / (f + i)),
    that many steps are N/L and about N/2.
    InputError where the cell has nothing to take what its own start asks for.
    """
    cell = get_cell(start.cell)
    gain = 1.0 if start.gain is None else start.gain
    params = init_params(cell, I, H, np.float64, seed, gain=gain)
    gates = keeping_gates(cell) if start.remember else {}
    if start.remember and not gates:
        raise InputError(f"remember is {start.remember}, but {cell.name} has no gate that keeps")
    added = {gate: sign * math.log(start.remember - 1) for gate, sign in gates.items()}
    for gate, value in added.items():
        params = with_bias(cell, params, gate, value)
    return params, added


def completed(
    starts: Sequence[Start], gain: float | None, remember: int | None, steps: int
) -> list[Start]:
    """The starts with the common values where they have none of their own and can take one.

    gain, remember: None for the defaults, 1 and ``steps``. InputError where no cell takes a value
    that was given.
    """
    found, taken = [], set()
    for start in starts:
        cell, values = get_cell(start.cell), {"gain": start.gain, "remember": start.remember}
        if start.gain is None and gain is not None and has_recurrent_matrix(cell.spec):
            values["gain"] = gain
            taken.add("gain")
        if start.remember is None and keeping_gates(cell):
            values["remember"] = (steps if steps > 1 else 0) if remember is None else remember
            taken.add("remember")
        found.append(Start(start.cell, **values))
    for name, value, what in (
        ("gain", gain, "a recurrent matrix"),
        ("remember", remember, "a gate that keeps its state"),
    ):
        if value is not None and name not in taken:
            raise InputError(f"--{name} {value:g}: no cell here has {what}, or each has its own")
    return found


def random_inputs(cell: str | Cell, T: int, B: int, I: int, H: int, seed: int) -> dict:
    """What a cell's steps are given beside x: its defaults, random ones where it has none."""
    cell = get_cell(cell)
    sizes, rng = cell.spec.sizes(I, H), np.random.default_rng([seed, 1])
    found = {}
    for one in cell.spec.inputs:
        if one.default is None:
            numbers = rng.uniform(-1.0, 1.0, one.shape(T, B, sizes))
            found[one.name] = np.asarray(one.draw(numbers), np.float64)
        else:
            found[one.name] = one.made(0, T, B, sizes, np.float64)
    return found


def random_sequences(T: int, B: int, I: int, seed: int) -> np.ndarray:
    """x (T,B,I), standard normal."""
    return np.random.default_rng([seed, 0]).standard_normal((T, B, I))


def text_sequence(text: str, I: int, seed: int) -> np.ndarray:
    """x (len(text),1,I): a standard normal vector for each character, the same wherever it
    stands. InputError for an empty text."""
    if not text:
        raise InputError("the text is empty; needs at least one character")
    symbols = sorted(set(text))
    table = np.random.default_rng([seed, 0]).standard_normal((len(symbols), I))
    return table[[symbols.index(c) for c in text]][:, None]
