"""The format of a golden case: one safetensors file.

Tensors: ``param.W``, ``x``, ``state.h``, ``lengths``, ``dy``, ``dstate.h`` are the inputs;
``expected.y``, ``expected.states.h``, ``expected.dW``, ``expected.dx``, ``expected.dh0`` the
results (names and shapes: ``protocol.py``). All float64, but lengths int64. The metadata key
``rnnbench`` holds the conventions as JSON: one key and sorted JSON, since safetensors writes
several keys in no fixed order, and the same case must give the same bytes.
"""

import hashlib
import json
import re
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rnnbench.cells import get_cell
from rnnbench.conformance.protocol import array_shapes, is_stored
from rnnbench.errors import InputError
from rnnbench.params import Case

FORMAT, VERSION = "rnnbench-golden", 1
KEY = "rnnbench"
LAYOUT = (
    "time-major: x (T,B,I), y (T,B,H), states (T+1,B,H), slot 0 the initial state; gate k of a "
    "parameter owns its k-th row block; loss = sum(y*dy) + sum(final state*dstate)"
)
PADDING = (
    "past a sequence's end y is 0, its states are frozen, its dy has no effect, its dx is 0; "
    "x and dy hold ordinary numbers there"
)
ROUNDING = "inputs are multiples of 2^-12; results are the float64 nearest to the exact value"


@dataclass(frozen=True)
class Golden:
    """inputs, and name -> float64 array of the results; bits: the precision that proved them."""

    problem: str
    inputs: Case
    expected: dict[str, np.ndarray]
    bits: int

    @property
    def cell(self) -> str:
        return self.inputs.cell

    @property
    def name(self) -> str:
        return f"{self.cell}-{self.problem}"

    @property
    def sizes(self) -> dict[str, int]:
        """T, B, I, H and any further width."""
        return self.inputs.sizes

    @property
    def file(self) -> str:
        """The name of its file."""
        return file_name(self.cell, self.problem)


def file_name(cell: str, problem: str) -> str:
    """The name of a case's file. Of a variant's options it has a hash: names may be long."""
    name, bracket, options = cell.partition("[")
    variant = f"-{hashlib.sha256(options.encode()).hexdigest()[:8]}" if bracket else ""
    return f"{name}{variant}-{problem}.safetensors"


def conventions(cell: str, sizes: dict[str, int]) -> dict:
    """What a reader in another framework has to know, as JSON values."""
    spec = get_cell(cell).spec
    shapes = {p.name: p.shape(sizes) for p in spec.parameters}
    return {
        "cell": cell,
        "source": spec.source,
        "equations": spec.equations.splitlines(),
        "gates": list(spec.gates),
        "states": list(spec.state_names),
        "output": spec.output,
        "parameters": {
            p.name: {"kind": p.kind, "gates": list(p.gates), "shape": list(shapes[p.name])}
            for p in spec.parameters
        },
        "transforms": {p.name: p.transform.name for p in spec.parameters if p.transform},
        "inputs": {i.name: i.help for i in spec.inputs},
        "sizes": sizes,
        "layout": LAYOUT,
        "padding": PADDING,
        "rounding": ROUNDING,
    }


def tensors_of(golden: Golden) -> dict[str, np.ndarray]:
    case = golden.inputs
    return (
        {f"param.{name}": a for name, a in case.params.items()}
        | {"x": case.x, "lengths": case.lengths, "dy": case.dy}
        | {f"state.{name}": a for name, a in case.state.items()}
        | {f"dstate.{name}": a for name, a in case.dstate.items()}
        | {f"input.{name}": a for name, a in case.inputs.items()}
        | {f"expected.{name}": a for name, a in golden.expected.items()}
    )


def encode(golden: Golden) -> bytes:
    """The bytes of a case's file."""
    text = {"format": FORMAT, "format_version": VERSION, "case": golden.problem}
    text |= {"bits": golden.bits} | conventions(golden.cell, golden.sizes)
    return save(tensors_of(golden), {KEY: json.dumps(text, sort_keys=True)})


def check_version(where, value, name: str = FORMAT) -> None:
    """InputError unless ``value`` is a dict that says it is of this format and version."""
    if not isinstance(value, dict) or value.get("format") != name:
        raise InputError(f"{where} holds no golden case of rnnbench")
    version = value.get("format_version")
    if type(version) is not int or version != VERSION:  # True == 1.0 == 1
        raise InputError(
            f"{where} has format version {version!r}; this rnnbench reads version {VERSION}"
        )


def check_keys(where, value: dict, allowed) -> None:
    for key in value:
        if key not in allowed:
            raise InputError(f"{where} has an unknown key {key!r}; allowed: {', '.join(allowed)}")


def decode(data: bytes, where: str) -> Golden:
    """The case in a file's bytes. InputError for anything but a whole, consistent golden case."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        text = json.loads(header["__metadata__"][KEY])
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where} holds no golden case of rnnbench, or only a part") from error
    check_version(where, text)
    check_keys(where, header["__metadata__"], [KEY])
    check_text(where, text)
    shapes = tensor_shapes(text["cell"], text["sizes"])
    found = {name: (str(a.dtype), a.shape) for name, a in tensors.items()}
    if found != shapes:
        names = sorted(n for n in found | shapes if found.get(n) != shapes.get(n))
        names = ", ".join(n if n in shapes or n.isprintable() else repr(n) for n in names)
        raise InputError(f"{where} has tensors missing, unknown or misshapen: {names}")
    bad = [name for name in shapes if not np.isfinite(tensors[name]).all()]
    if bad:
        raise InputError(f"{where} has numbers that are not finite: {', '.join(bad)}")
    lengths, T = tensors["lengths"].tolist(), text["sizes"]["T"]
    if not all(0 <= length <= T for length in lengths):
        raise InputError(f"{where} has lengths {lengths}; allowed: 0 to {T}")

    def group(prefix):
        return {n.removeprefix(prefix): tensors[n] for n in shapes if n.startswith(prefix)}

    inputs = Case(
        text["cell"],
        group("param."),
        tensors["x"],
        group("state."),
        tensors["lengths"],
        tensors["dy"],
        group("dstate."),
        group("input."),
    )
    return Golden(text["case"], inputs, group("expected."), text["bits"])


def check_text(where: str, text: dict) -> None:
    """InputError unless the metadata say exactly what ``encode`` writes for their cell and sizes.

    Compared as JSON text, where true, 1 and 1.0 differ.
    """
    try:
        cell, sizes, problem, bits = (text[k] for k in ("cell", "sizes", "case", "bits"))
    except KeyError as error:
        raise InputError(f"{where} has incomplete metadata") from error
    if not isinstance(cell, str):
        raise InputError(f"{where} has cell {cell!r}; needs a name")
    whole = isinstance(sizes, dict) and all(type(n) is int and n > 0 for n in sizes.values())
    letters = ["T", "B", "I", "H", *get_cell(cell).spec.widths]
    if not whole or set(sizes) != set(letters):
        needs = f"needs positive whole numbers {', '.join(letters)}"
        raise InputError(f"{where} has sizes {sizes!r}; {needs}")
    if not isinstance(problem, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", problem):
        raise InputError(f"{where} has case name {problem!r}; allowed: letters, digits, _ . -")
    if type(bits) is not int or bits < 1:
        raise InputError(f"{where} has bits {bits!r}; needs a positive whole number")
    expected = conventions(cell, sizes)
    given = {k: json.dumps(text.get(k), sort_keys=True) for k in expected}
    wrong = [k for k, v in expected.items() if given[k] != json.dumps(v, sort_keys=True)]
    if wrong:
        raise InputError(f"{where} follows other conventions: {', '.join(wrong)}")
    check_keys(where, text, ["format", "format_version", "case", "bits", *expected])


def tensor_shapes(cell: str, sizes: dict[str, int]) -> dict[str, tuple[str, tuple]]:
    """Tensor name -> (dtype, shape), of every tensor a case's file holds."""
    spec = get_cell(cell).spec
    T, B, I = (sizes[letter] for letter in "TBI")
    states = {s.name: (B, sizes[s.width]) for s in spec.states}
    floats = (
        {f"param.{p.name}": p.shape(sizes) for p in spec.parameters}
        | {"x": (T, B, I), "dy": (T, *states[spec.output])}
        | {f"state.{name}": shape for name, shape in states.items()}
        | {f"dstate.{name}": shape for name, shape in states.items()}
        | {f"input.{i.name}": i.shape(T, B, sizes) for i in spec.inputs}
        | {f"expected.{n}": s for n, s in array_shapes(spec, sizes).items() if is_stored(n)}
    )
    return {name: ("float64", shape) for name, shape in floats.items()} | {
        "lengths": ("int64", (B,))
    }
