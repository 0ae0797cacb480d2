"""A set of golden cases: their files (case_file.py), and a JSON index with SHA-256 sums."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from rnnbench.cells import get_cell
from rnnbench.conformance import network_golden
from rnnbench.conformance.case_file import (
    FORMAT,
    VERSION,
    Golden,
    check_keys,
    check_version,
    decode,
    encode,
)
from rnnbench.conformance.network_golden import NetworkGolden
from rnnbench.errors import InputError
from rnnbench.report import make_directory, write_bytes, write_json

INDEX = "index.json"


@dataclass(frozen=True)
class Entry:
    """A line of the index."""

    file: str
    cell: str
    case: str
    bytes: int
    sha256: str


class Kind(NamedTuple):
    """A kind of cases: the name of their index, their format's name, and how they are read and
    written."""

    index: str
    format: str
    encode: Callable
    decode: Callable


CELLS = Kind(INDEX, FORMAT, encode, decode)
NETWORKS = Kind(
    network_golden.INDEX, network_golden.FORMAT, network_golden.encode, network_golden.decode
)


def write_set(directory, goldens, kind: Kind = CELLS) -> list[Entry]:
    """Write the cases' files, then the index that lists them. InputError where that can't be."""
    directory, entries = make_directory(directory), []
    for golden in goldens:
        data, name = kind.encode(golden), golden.file
        write_bytes(directory / name, data)
        sha256 = hashlib.sha256(data).hexdigest()
        entries.append(Entry(name, golden.cell, golden.problem, len(data), sha256))
    cases = [asdict(e) for e in entries]
    index = {"format": kind.format, "format_version": VERSION, "cases": cases}
    write_json(directory / kind.index, index)
    return entries


def read_index(directory, kind: Kind = CELLS) -> list[Entry]:
    """The index of a directory that ``write_set`` wrote; InputError for anything else."""
    path = Path(directory) / kind.index
    try:
        index = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"no golden cases in {directory} ({error.strerror}: {kind.index}); needs a directory "
            "that `rnnbench export` wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no index of golden cases, or only a part of one") from error
    check_version(path, index, kind.format)
    check_keys(path, index, ["format", "format_version", "cases"])
    try:
        entries = [Entry(**entry) for entry in index["cases"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} has an incomplete list of cases") from error
    listed = set()
    for entry in entries:
        for key, value in asdict(entry).items():
            if type(value) is not Entry.__annotations__[key]:
                raise InputError(f"{path} lists a case whose {key} is {value!r}")
        for key in (entry.file, (entry.cell, entry.case)):
            if key in listed:
                raise InputError(f"{path} lists {key!r} twice")
            listed.add(key)
    return entries


def read_case(directory, entry: Entry, kind: Kind = CELLS) -> Golden | NetworkGolden:
    """One case, checked against its line of the index."""
    path = Path(directory) / entry.file
    if path.name != entry.file or not entry.file.isprintable():
        raise InputError(f"{kind.index} lists {entry.file!r}; allowed: a file beside it")
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"can't read {path}: {error}") from error
    if len(data) != entry.bytes:
        short = len(data) < entry.bytes
        raise InputError(
            f"{path} is {'truncated' if short else 'altered'}: {len(data)} bytes, the index lists "
            f"{entry.bytes}"
        )
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise InputError(f"{path} is altered: its SHA-256 sum differs from the index")
    golden = kind.decode(data, str(path))
    if (golden.cell, golden.problem) != (entry.cell, entry.case):
        listed = f"{entry.cell}-{entry.case}"
        held = f"{golden.cell}-{golden.problem}"
        raise InputError(f"{path} holds {held}, the index lists {listed!r}")
    return golden


def read_set(directory, cells=()) -> list[Golden]:
    """All cases of a directory, or those of some cells; InputError where there is none.

    All are checked even so: a damaged set is refused whatever is asked of it.
    """
    names = [get_cell(c).name for c in cells]
    found = [read_case(directory, entry) for entry in read_index(directory)]
    missing = [name for name in names if name not in {golden.cell for golden in found}]
    if missing or not found:
        raise InputError(f"{directory} has no golden case of {', '.join(missing) or 'any cell'}")
    return [golden for golden in found if not names or golden.cell in names]


def read_networks(directory) -> list[NetworkGolden]:
    """All cases of networks and gradient algorithms in a directory."""
    return [read_case(directory, entry, NETWORKS) for entry in read_index(directory, NETWORKS)]


def packaged() -> Path:
    """The directory of the golden cases that come with rnnbench."""
    try:
        import rnnbench_golden
    except ImportError as error:
        raise InputError("the packaged golden cases are missing; give --golden DIR") from error
    return Path(rnnbench_golden.__file__).parent
