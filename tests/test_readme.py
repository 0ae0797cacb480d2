"""The README says what is so: its commands, its table of cells, its example."""

import re
from pathlib import Path

import pytest

from rnnbench import cell_names, get_cell
from rnnbench.cli import main

TEXT = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_two_commands():
    assert "pip install . && rnnbench verify" in TEXT
    assert "pip install '.[test]' && pytest" in TEXT


def test_every_command_named_exists():
    named = set(re.findall(r"rnnbench (verify|compare|validate|export|train|\w+) ", TEXT))
    known = set(main.list_commands(None))
    assert known <= named
    assert {n for n in named if n in ("verify", "compare", "validate", "export", "train")} == known


def test_the_table_of_cells():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE))
    assert set(rows) == set(cell_names())
    for name, row in rows.items():
        spec = get_cell(name).spec
        gates, states, count = row.split(" | ")
        assert gates == " ".join(spec.gates)
        assert states == " ".join(spec.state_names)
        for I, H in ((4, 7), (11, 2)):
            formula = re.sub(r"(\d)([gH])", r"\1*\2", count)
            assert eval(formula, {"g": H * (I + H + 1), "H": H}) == spec.parameter_count(I, H)


def test_the_example_runs(capsys):
    example = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    space: dict = {}
    exec(example, space)
    assert space["grads"].x.shape == (5, 3, 4)
    assert space["grads"].state["c"].shape == (3, 7)


@pytest.mark.parametrize("placeholder", ["@", "TODO", "XXX"])
def test_nothing_is_left_to_fill_in(placeholder):
    assert placeholder not in TEXT
