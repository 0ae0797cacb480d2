"""Shapes: the names say the numbers, the sets hold what they say, bad names are refused."""

import pytest

from rnnbench.errors import InputError
from rnnbench.shapes import SETS, Shape, get_set, get_shape


@pytest.mark.parametrize("name", SETS)
def test_every_shape_is_found_by_its_name(name):
    shapes = get_set(name)
    assert shapes and len(set(shapes)) == len({s.name for s in shapes})
    assert [get_shape(s.name) for s in shapes] == list(shapes)


def test_names():
    assert Shape(50, 32, 128, 128).name == "T50B32H128"
    assert get_shape("T5B3I4H7") == Shape(5, 3, 4, 7)
    assert get_shape("T5B3I7H7").name == "T5B3H7"


def test_sets():
    assert " ".join(s.name for s in get_set("small")) == (
        "T100B1H64 T100B1H256 T50B8H128 T50B32H128 T50B64H256 T25B16H512 T25B64H512 T25B32H1024"
    )
    counts = {name: len(shapes) for name, shapes in SETS.items() if name.startswith("deepbench-")}
    assert counts == {
        "deepbench-vanilla": 12,
        "deepbench-lstm": 22,
        "deepbench-gru": 19,
        "deepbench-server": 15,
    }
    assert len(get_set("deepbench")) == sum(counts.values())


@pytest.mark.parametrize(
    "name", ["", "T50", "50,32,128", "T0B1H4", "T5B3I0H7", "T5B3H7 ", "t5b3h7"]
)
def test_bad_names(name):
    with pytest.raises(InputError, match="T50B32H128"):
        get_shape(name)


def test_unknown_set():
    with pytest.raises(InputError, match="allowed: small, tiny"):
        get_set("huge")
