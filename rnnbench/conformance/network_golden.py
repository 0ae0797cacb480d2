"""The golden cases of networks and gradient algorithms: their proof, and their files.

One safetensors file a case; its metadata's key ``rnnbench`` holds the network, the algorithm and
the conventions as JSON. Tensors are named as in networks.py, results with ``expected.`` before.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rnnbench.conformance.balls import prove, to_balls
from rnnbench.conformance.case_file import (
    KEY,
    LAYOUT,
    PADDING,
    ROUNDING,
    VERSION,
    check_keys,
    check_version,
)
from rnnbench.conformance.networks import (
    NetworkProblem,
    drawn,
    expected_shapes,
    lengths_of,
    problem_from,
    run_reference,
    wanted,
)
from rnnbench.errors import InputError, shown
from rnnbench.layers.layer import Arrays

FORMAT, INDEX = "rnnbench-golden-network", "networks.json"
ENDS = ("lengths", "source_lengths")
# what metadata that describe nothing may lead to, sizes beyond all memory and depths beyond the
# stack among them
WRONG = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
)


@dataclass(frozen=True)
class NetworkGolden:
    """arrays: the inputs but lengths, by name; expected: the results; bits: what proved them."""

    network: NetworkProblem
    arrays: Arrays
    expected: Arrays
    bits: int

    @property
    def cell(self) -> str:
        """The kind of network, for the index."""
        return type(self.network.network).__name__

    @property
    def problem(self) -> str:
        return self.network.name

    @property
    def file(self) -> str:
        return f"network-{self.problem}.safetensors"


def solve(problem: NetworkProblem) -> NetworkGolden:
    """Its results by the reference in balls, each rounded to the float64 nearest to it."""
    arrays = drawn(problem)
    balls = {name: to_balls(array) for name, array in arrays.items()}
    expected, bits = prove(lambda: run_reference(problem, balls))
    return NetworkGolden(problem, arrays, expected, bits)


def conventions(problem: NetworkProblem) -> dict:
    """What the metadata say beside format, case and bits."""
    return {
        "network": problem.data,
        "algorithm": dict(problem.algorithm),
        "sizes": dict(problem.sizes),
        "layout": LAYOUT,
        "padding": PADDING,
        "rounding": ROUNDING,
    }


def encode(golden: NetworkGolden) -> bytes:
    """The bytes of a case's file; the same on every machine."""
    text = {"format": FORMAT, "format_version": VERSION, "case": golden.problem}
    text |= {"bits": golden.bits} | conventions(golden.network)
    tensors = golden.arrays | lengths_of(golden.network)
    tensors |= {f"expected.{name}": array for name, array in golden.expected.items()}
    return save(tensors, {KEY: json.dumps(text, sort_keys=True)})


def decode(data: bytes, where: str) -> NetworkGolden:
    """The case in a file's bytes. InputError for anything but a whole, consistent case."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        text = json.loads(header["__metadata__"][KEY])
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where} holds no golden case of a network, or only a part") from error
    check_version(where, text, FORMAT)
    check_keys(where, header["__metadata__"], [KEY])
    check_name(where, text.get("case"))
    with described(where):
        sizes = {str(letter): whole(size) for letter, size in text["sizes"].items()}
        ends = {n: tuple(tensors[n].tolist()) for n in ENDS if n in tensors}
        problem = problem_from(text["case"], text["network"], sizes, ends, text["algorithm"])
        shapes = {n: ("float64", a.shape) for n, a in wanted(problem).items()}
        shapes |= {f"expected.{n}": ("float64", s) for n, s in expected_shapes(problem).items()}
        B = (sizes["B"],)
    shapes |= {name: ("int64", B) for name in ENDS[: 1 + problem.is_pair]}
    found = {name: (str(a.dtype), a.shape) for name, a in tensors.items()}
    if found != shapes:
        names = sorted(n for n in found | shapes if found.get(n) != shapes.get(n))
        raise InputError(f"{where} has tensors missing, unknown or misshapen: {names[:5]!r}")
    check_text(where, text, problem, tensors)
    with described(where):
        problem.schedule()  # now that its T is that of the tensors, and so no list without end
    results = {n: tensors[f"expected.{n}"] for n in expected_shapes(problem)}
    return NetworkGolden(problem, {n: tensors[n] for n in wanted(problem)}, results, text["bits"])


@contextmanager
def described(where: str) -> Iterator[None]:
    """InputError where the metadata describe no problem."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except WRONG as error:
        raise InputError(f"{where} has incomplete or wrong metadata") from error


def check_name(where: str, name) -> None:
    """InputError unless it can be part of a file's name."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise InputError(f"{where} has case name {shown(name)}; allowed: letters, digits, _ . -")


def whole(value) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"size {value!r}")
    return value


def check_text(where: str, text: dict, problem: NetworkProblem, tensors: Mapping) -> None:
    """InputError unless metadata and numbers are what ``encode`` writes."""
    expected = conventions(problem)
    given = {k: json.dumps(text.get(k), sort_keys=True) for k in expected}
    wrong = [k for k, v in expected.items() if given[k] != json.dumps(v, sort_keys=True)]
    if wrong:
        raise InputError(f"{where} follows other conventions: {', '.join(wrong)}")
    check_keys(where, text, ["format", "format_version", "case", "bits", *expected])
    check_keys(where, text["sizes"], "TBISJ" if problem.is_pair else "TBI")
    bits = text.get("bits")
    if type(bits) is not int or bits < 1:
        raise InputError(f"{where} has bits {shown(bits)}; needs a positive whole number")
    bad = [name for name, a in tensors.items() if not np.isfinite(a).all()]
    if bad:
        raise InputError(f"{where} has numbers that are not finite: {', '.join(bad)}")
    for name, letter in (("lengths", "T"), ("source_lengths", "S")):
        for length in tensors.get(name, ()):
            if not 0 <= length <= problem.sizes[letter]:
                raise InputError(f"{where} has {name} {tensors[name].tolist()}")
