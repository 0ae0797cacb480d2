"""The README says what is so: its commands, its table of cells, its example."""

import re
from pathlib import Path

import pytest

from rnnbench.cli import main
from rnnbench.conformance.golden import packaged, read_index
from rnnbench.describe import markdown_table
from rnnbench.gradients import catalogue

TEXT = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_two_commands():
    assert "pip install . && rnnbench verify" in TEXT
    assert "pip install '.[test]' && pytest" in TEXT


def test_every_command_named_exists():
    """Every command is shown, and nothing else in code is called one."""
    lines = re.findall(r"^ *(?:\$ )?rnnbench ([a-z]\w*)", TEXT, re.MULTILINE)
    named = {*lines, *re.findall(r"`rnnbench ([a-z]\w*)", TEXT)}
    assert named == set(main.list_commands(None))


def test_the_table_of_cells():
    """It is what ``rnnbench cells --markdown`` prints."""
    block = re.search(r"^<!-- cells -->\n(.*?)<!-- /cells -->$", TEXT, re.DOTALL | re.MULTILINE)
    assert block[1].strip() == markdown_table()


def test_the_table_of_gradient_algorithms():
    """It is what ``rnnbench gradients --markdown`` prints."""
    pattern = r"^<!-- gradients -->\n(.*?)<!-- /gradients -->$"
    block = re.search(pattern, TEXT, re.DOTALL | re.MULTILINE)
    assert block[1].strip() == catalogue.markdown_table().strip()


def test_the_examples_run():
    """One after the other: the second goes on from the first."""
    space: dict = {}
    for example in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(example, space)
    assert space["grads"].x.shape == (5, 3, 4)
    assert space["grads"].state["c"].shape == (3, 7)
    assert space["found"].params["R"].shape == (28, 7)
    assert space["step"].params["R"].shape == (28, 7)
    assert space["gradients"].params["0.backward.W"].shape == (12, 4)


PLACEHOLDERS = ["@", "TODO", "XXX", "VERIFY", "PLANT", "BITS", "SECONDS", "LINES"]


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_nothing_is_left_to_fill_in(placeholder):
    assert placeholder not in TEXT


def test_the_number_of_golden_cases():
    assert f"Golden cases ({len(read_index(packaged()))}:" in TEXT
