"""Golden files that are cut off, altered, too new, or something else."""

import json

import numpy as np
import pytest

from rnnbench.conformance import cases, golden
from rnnbench.errors import InputError


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One case as bytes, and the text of its index."""
    directory = tmp_path_factory.mktemp("golden")
    (entry,) = golden.write_set(directory, [cases.golden_case("elman_tanh", cases.PROBLEMS[1])])
    return (directory / entry.file).read_bytes(), (directory / golden.INDEX).read_text()


def place(directory, data: bytes, index: str):
    (directory / "elman_tanh-ragged.safetensors").write_bytes(data)
    (directory / golden.INDEX).write_text(index)
    return directory


def relisted(data: bytes) -> str:
    """An index that lists ``data`` with its right size and sum: only the file's content is bad."""
    import hashlib

    entry = {"file": "elman_tanh-ragged.safetensors", "cell": "elman_tanh", "case": "ragged"}
    entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    head = {"format": golden.FORMAT, "format_version": golden.VERSION}
    return json.dumps(head | {"cases": [entry]})


def test_an_altered_byte_of_a_case_is_found(small, tmp_path):
    data, index = small
    for position in range(0, len(data), 29):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        place(tmp_path, bytes(changed), index)
        with pytest.raises(InputError, match="is altered: its SHA-256"):
            golden.read_set(tmp_path)


def test_every_altered_byte_of_the_index_is_found_or_harmless(small, tmp_path):
    data, index = small
    before = golden.read_set(place(tmp_path, data, index))[0]
    for position in range(len(index)):
        changed = bytearray(index.encode())
        changed[position] ^= 1
        (tmp_path / golden.INDEX).write_bytes(changed)
        try:
            after = golden.read_set(tmp_path)[0]
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert golden.encode(after) == golden.encode(before)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_truncated_case(small, tmp_path, kept):
    data, index = small
    place(tmp_path, data[:kept], index)
    with pytest.raises(InputError, match=r"safetensors is truncated: \d+ bytes"):
        golden.read_set(tmp_path)
    place(tmp_path, data[:kept], relisted(data[:kept]))
    with pytest.raises(InputError, match="or only a part"):
        golden.read_set(tmp_path)


def test_a_longer_case(small, tmp_path):
    data, index = small
    with pytest.raises(InputError, match="is altered"):
        golden.read_set(place(tmp_path, data + b"\0", index))


def test_a_truncated_index(small, tmp_path):
    data, index = small
    with pytest.raises(InputError, match="no index of golden cases, or only a part"):
        golden.read_set(place(tmp_path, data, index[:-20]))


def test_a_newer_format(small, tmp_path):
    data, index = small
    newer = index.replace('"format_version": 1', '"format_version": 2')
    with pytest.raises(InputError, match="format version 2; this rnnbench reads version 1"):
        golden.read_set(place(tmp_path, data, newer))
    changed = data.replace(b'\\"format_version\\": 1', b'\\"format_version\\": 2')
    assert changed != data
    with pytest.raises(InputError, match="format version 2; this rnnbench reads version 1"):
        golden.read_set(place(tmp_path, changed, relisted(changed)))


@pytest.mark.parametrize("other", ["text", "plain safetensors", "another kind"])
def test_not_a_golden_at_all(tmp_path, other):
    from safetensors.numpy import save

    data = {
        "text": b"Once upon a midnight dreary, while I pondered, weak and weary",
        "plain safetensors": save({"x": np.zeros(3)}),
        "another kind": save({"x": np.zeros(3)}, {"rnnbench": '{"format": "other"}'}),
    }[other]
    with pytest.raises(InputError, match="holds no golden case"):
        golden.read_set(place(tmp_path, data, relisted(data)))


def test_a_json_file_that_is_no_index(tmp_path):
    for text in ("[1, 2]", "{}", '{"format": "other", "format_version": 1}'):
        (tmp_path / golden.INDEX).write_text(text)
        with pytest.raises(InputError, match="holds no golden case"):
            golden.read_set(tmp_path)


@pytest.mark.parametrize(
    "old, new, message",
    [
        (b'\\"gates\\": [\\"a\\"]', b'\\"gates\\": [\\"q\\"]', "other conventions: .*parameters"),
        (b'\\"padding\\"', b'\\"Padding\\"', "other conventions: padding"),
        (b'\\"sizes\\"', b'\\"Sizes\\"', "incomplete metadata"),
        (b'\\"cell\\": \\"elman_tanh', b'\\"cell\\": \\"elman_tanx', "unknown cell 'elman_tanx'"),
        (b'\\"cell\\": \\"elman_tanh', b'\\"cell\\": \\"elman_relu', "other conventions|holds"),
        (b'"expected.dx"', b'"expected.xd"', "misshapen: expected.dx, expected.xd"),
        (b"[6,4,3]", b"[6,3,4]", "misshapen: expected.dx, x"),
    ],
)
def test_a_case_that_contradicts_itself(small, tmp_path, old, new, message):
    data, _ = small
    changed = data.replace(old, new)
    assert changed != data
    with pytest.raises(InputError, match=message):
        golden.read_set(place(tmp_path, changed, relisted(changed)))


def test_a_missing_file_and_one_outside(small, tmp_path):
    data, index = small
    (tmp_path / golden.INDEX).write_text(index)
    with pytest.raises(InputError, match="can't read"):
        golden.read_set(tmp_path)
    outside = index.replace("elman_tanh-ragged.safetensors", "../elman_tanh-ragged.safetensors")
    with pytest.raises(InputError, match="allowed: a file beside it"):
        golden.read_set(place(tmp_path, data, outside))


def test_a_set_without_the_wanted_cell(small, tmp_path):
    place(tmp_path, *small)
    assert len(golden.read_set(tmp_path, ["elman_tanh"])) == 1
    with pytest.raises(InputError, match="no golden case of lstm"):
        golden.read_set(tmp_path, ["elman_tanh", "lstm"])
    with pytest.raises(InputError, match="unknown cell 'nosuch'"):
        golden.read_set(tmp_path, ["nosuch"])


def test_an_unwritable_directory(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="can't create"):
        golden.write_set(tmp_path / "file" / "set", [])
