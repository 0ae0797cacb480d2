"""``rnnbench gradients``: the list, a page, the README's table, JSON; what the catalogue says."""

import json

import pytest
from click.testing import CliRunner

from rnnbench.cli import main
from rnnbench.commands.gradients import command
from rnnbench.errors import InputError
from rnnbench.gradients.catalogue import ALGORITHMS, KINDS, get_algorithm, markdown_table

EVERY = pytest.mark.parametrize("name", ALGORITHMS)
# one for each row of the design's table, and the clippings
ASKED = """full truncated chunked artbp adaptive sqrt_checkpointing optimal_checkpointing revolve
    reversible scan rtrl hybrid uoro kf_rtrl ok snap e_prop rflo forward_gradient
    sparse_attentive_backtracking clip_by_global_norm clip_by_norm clip_by_value
    clip_through_time""".split()
UNBIASED = {"artbp", "uoro", "kf_rtrl", "ok", "forward_gradient"}
EXACT = {"full", "sqrt_checkpointing", "optimal_checkpointing", "revolve", "reversible", "scan"}
EXACT |= {"rtrl", "hybrid"}


def invoke(*arguments):
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    assert "--markdown" in arguments or max(map(len, result.output.splitlines())) <= 80
    return result.output


def refuses(message, *arguments):
    with pytest.raises(InputError, match=message) as caught:
        invoke(*arguments)
    assert "\n" not in str(caught.value)


def test_online_algorithms_have_the_names_that_the_driver_takes():
    from rnnbench.gradients.online import ALGORITHMS as online

    assert set(online) | {"hybrid"} == {a.name for a in ALGORITHMS.values() if a.kind == "online"}
    for name, algorithm in online.items():
        assert ALGORITHMS[name].load() is algorithm
        assert ALGORITHMS[name].exact == (algorithm.kind == "exact")
        unbiased = ALGORITHMS[name].bias.startswith("none on average")
        assert unbiased == (algorithm.kind == "unbiased")


def test_all_are_there():
    assert sorted(ALGORITHMS) == sorted(ASKED)


def test_what_is_exact():
    assert {a.name for a in ALGORITHMS.values() if a.exact} == EXACT
    unbiased = {a.name for a in ALGORITHMS.values() if a.bias.startswith("none on average")}
    assert unbiased == UNBIASED


@EVERY
def test_its_function_is_there(name):
    found = get_algorithm(name).load()
    assert callable(found) and found.__doc__


@EVERY
def test_a_row_is_whole(name):
    a = ALGORITHMS[name]
    assert a.name == name and a.kind in KINDS
    for field in ("source", "time", "memory", "cells", "check", "about", "path"):
        value = getattr(a, field)
        assert value and "  " not in value and value == value.strip() and "|" not in value
    assert a.about.endswith(".") and any(c.isdigit() for c in a.source)
    assert 3 <= len(invoke(name).split("\n\n")[1].splitlines()) <= 8


@EVERY
def test_its_page(name, tmp_path):
    path = tmp_path / "page.json"
    flat = " ".join(invoke(name, "--json", path).split())
    found, a = json.loads(path.read_text()), ALGORITHMS[name]
    assert found == vars(a) | {"exact": a.exact}
    gradient = a.bias or "exact"
    for text in (name, a.source, a.about, gradient, a.time, a.memory, a.cells, a.check, a.path):
        assert text in flat


def test_the_list(tmp_path):
    path = tmp_path / "list.json"
    output = invoke("--json", path)
    first = [line.split()[0] for line in output.splitlines() if line[:1] == " " and line[1] != " "]
    assert [word for word in first if word in ALGORITHMS] == [n for n in ALGORITHMS if len(n) < 22]
    assert [row["name"] for row in json.loads(path.read_text())] == list(ALGORITHMS)
    assert f"{len(ALGORITHMS)} algorithms. Costs are" in " ".join(output.split())


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind(kind):
    names = [a.name for a in ALGORITHMS.values() if a.kind == kind]
    lines = invoke("--kind", kind, "--markdown").splitlines()
    assert names and [line.split("`")[1] for line in lines[2:]] == names


def test_the_markdown_table():
    assert invoke("--markdown") == markdown_table() + "\n"
    lines = markdown_table().splitlines()
    assert len(lines) == 2 + len(ALGORITHMS) and len({line.count("|") for line in lines}) == 1


def test_bad_calls():
    refuses("unknown gradient algorithm 'bptt'; allowed: full, ", "bptt")
    refuses("unknown kind 'fast'; allowed: schedule, ", "--kind", "fast")
    refuses("--kind is for the list, not for one algorithm; 'full'", "full", "--kind", "scan")
    refuses("--markdown is for the list", "full", "--markdown")
    refuses("can't write", "--json", "/no/such/folder/x.json")


def test_it_is_a_command():
    assert {"gradients", "gradflow"} <= set(main.list_commands(None))
