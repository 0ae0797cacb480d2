"""`rnnbench validate` on functions, results and frameworks that break; `rnnbench export` on places
that can't be written."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnnbench.cli import main
from rnnbench.conformance import cases
from rnnbench.conformance.adapters import load_adapter
from rnnbench.conformance.validate import AGREES, DEPARTS, RAISED, validate
from rnnbench.errors import InputError, MissingDependency

COMMITTED = Path(__file__).parents[2] / "results" / "golden"
SOURCE = '''
import sys
from collections.abc import Mapping
import numpy as np
from my_networks import good, drops_b, starts_at_zero


class Panic(BaseException):
    """As a panic in a Rust extension."""


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")


def leaves(*arguments):
    sys.exit(0)


def panics(*arguments):
    raise Panic("at the disco")


def unspeakable(*arguments):
    raise Unspeakable


def deep_in_numpy(*arguments):
    np.linalg.inv(np.zeros((2, 2)))  # the user's own last line


def raises_on_ragged(cell, params, x, state, lengths, dy, dstate):
    if 1 in lengths:
        raise RuntimeError("[bold]too\\n\\x1bshort \\ud800")
    return good(cell, params, x, state, lengths, dy, dstate)


def raises_without_weights(cell, params, x, state, lengths, dy, dstate):
    if not params["b"].all():
        sys.exit(0)
    return drops_b(cell, params, x, state, lengths, dy, dstate)


class Odd:
    def __array__(self, *arguments, **options):
        raise KeyError("no\\nnumbers")


class Broken(Mapping):
    def __iter__(self):
        raise OSError("gone")

    def __len__(self):
        return 1

    def __getitem__(self, name):
        raise OSError("gone")


class Leaving(Broken):
    def __iter__(self):
        yield "y"

    def __getitem__(self, name):
        sys.exit(0)


def odd(*arguments):
    return {"y": Odd()}


def broken(*arguments):
    return Broken()


def leaving(*arguments):
    return Leaving()


def number_for_a_name(*arguments):
    return {3: 1.0}


def masked(*arguments):
    return {"y": np.ma.masked_array(good(*arguments)["y"], mask=False)}


buffer = {}


def same_buffer(*arguments):
    y = starts_at_zero(*arguments)["y"]
    kept = buffer.setdefault(y.shape, np.empty_like(y))
    kept[...] = y
    return {"y": kept}


def __getattr__(name):
    raise OSError(f"nothing\\nfor {name}")
'''

pytestmark = pytest.mark.usefixtures("users_module")


@pytest.fixture(autouse=True)
def odd_module(users_module):
    Path("odd_networks.py").write_text(SOURCE)
    yield
    sys.modules.pop("odd_networks", None)


def outcomes(function, goldens, cell="elman_tanh"):
    return validate(
        load_adapter(f"odd_networks:{function}"), [g for g in goldens if g.cell == cell]
    )


def rnnbench(*arguments):
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "80"})


def line_of(text):
    return 1 + next(n for n, line in enumerate(SOURCE.split("\n")) if text in line)


# functions that raise


def test_a_function_that_leaves_has_failed(goldens):
    result = rnnbench("validate", "odd_networks:leaves", "--cell", "gru")
    assert result.exit_code == 1 and "0 of 3 cases agree; 3 raised" in result.output
    assert f"SystemExit: 0 ({Path('odd_networks.py').resolve()}:" in result.output
    for function, reason in [("panics", "Panic: at the disco ("), ("unspeakable", "Unspeakable (")]:
        found = outcomes(function, goldens)
        assert [o.verdict for o in found] == [RAISED] * 3
        assert all(o.reason.startswith(reason) for o in found), found


def test_a_case_that_raises_leaves_the_others_compared(goldens):
    found = outcomes("raises_on_ragged", goldens)
    assert {o.case: o.verdict for o in found} == {
        "full": AGREES,
        "ragged": RAISED,
        "empty_row": AGREES,
    }
    arguments = [
        "validate",
        "odd_networks:raises_on_ragged",
        "--cell",
        "lstm",
        "--json",
        "out.json",
    ]
    result = rnnbench(*arguments)
    assert result.exit_code == 1, result.output
    assert "2 of 3 cases agree; 1 raised; 0 not offered" in result.output
    place = f"odd_networks.py:{line_of('[bold]too')}"
    assert r"RuntimeError: [bold]too \x1bshort \ud800" in result.output and place in result.output
    (case,) = [c for c in json.loads(Path("out.json").read_text())["cases"] if c["reason"]]
    assert case["verdict"] == RAISED and case["case"] == "ragged"


def test_the_place_is_the_users_own_last_line(goldens):
    (o, *_) = outcomes("deep_in_numpy", goldens)
    assert o.reason.startswith("LinAlgError: Singular matrix (")
    assert o.reason.endswith(f"odd_networks.py:{line_of('own last line')})")


def test_a_diagnosis_survives_a_function_that_leaves(goldens):
    found = outcomes("raises_without_weights", goldens)
    assert {o.verdict for o in found} == {DEPARTS}
    assert all("b dropped" in " ".join(o.diagnosis.mistakes) for o in found)


def test_a_result_in_a_buffer_that_is_used_again(goldens):
    found = outcomes("same_buffer", goldens)
    assert all("initial states taken as zero" in " ".join(o.diagnosis.mistakes) for o in found)


@pytest.mark.parametrize(
    "function, message",
    [
        ("odd", r"returned a y that is no array \(KeyError: 'no"),
        ("broken", r"returned a Broken that can't be read \(OSError: gone\)"),
        ("leaving", r"returned a Leaving that can't be read \(SystemExit: 0\)"),
        ("number_for_a_name", "unknown array from .* 3; allowed: y"),
        ("masked", "returned a masked y; needs a plain array"),
    ],
)
def test_a_result_that_breaks(goldens, function, message):
    with pytest.raises(InputError, match=message) as error:
        outcomes(function, goldens)
    assert "\n" not in str(error.value)


# what can't be loaded


def test_a_module_whose_getattr_raises():
    with pytest.raises(InputError, match=r"can't get 'nosuch' of odd_networks \(OSError") as error:
        load_adapter("odd_networks:nosuch")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("how", ["raise OSError('libfoo.so:\\nno')", "raise SystemExit(0)", ""])
def test_a_broken_framework(monkeypatch, how):
    """Installed, but its import or its version fails."""
    Path("torch.py").write_text(how)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(
        MissingDependency, match=r"torch can't be imported \(.*pip install"
    ) as error:
        load_adapter("torch")
    assert "\n" not in str(error.value)
    assert rnnbench("validate", "my_networks:good", "--cell", "gru").exit_code == 0
    sys.modules.pop("torch", None)  # not by monkeypatch, which would put the stand-in back


# export


def test_export_to_a_bad_place_is_refused_before_the_proofs(monkeypatch):
    monkeypatch.setattr(cases, "golden_case", lambda *pair: pytest.fail("proved first"))
    Path("set/index.json").mkdir(parents=True)
    Path("other/gru-full.safetensors").mkdir(parents=True)
    for place, message in [
        ("", "needs a directory"),
        ("/proc/self", "can't write"),
        ("set", "index.json: it is a directory"),
        ("other", "gru-full.safetensors: it is a directory"),
    ]:
        result = rnnbench("export", place, "--cell", "gru")
        assert isinstance(result.exception, InputError), (place, result.exception)
        assert message in str(result.exception) and "\n" not in str(result.exception)
