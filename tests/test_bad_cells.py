"""Bad names, options, widths and per-step inputs of cells: one line, before any kernel runs."""

import numpy as np
import pytest

from rnnbench import InputError, cell_names, get_cell, init_params
from rnnbench.cells import get_definition
from rnnbench.cli import run
from rnnbench.gradients.runner import run as run_schedule
from rnnbench.gradients.schedule import full
from rnnbench.options import choice, count, counts, flag, full_name, number, split_name
from rnnbench.params import random_case
from rnnbench.target import Target

MASKED = "lstm[zoneout=True]"
OWN_X = "sru[input_projection=False]"


class Untouched(Target):
    """Its checks are every target's; nothing that is refused may come any further."""

    name = "untouched"

    def run_forward(self, problem, tape, ready):
        raise AssertionError("a kernel ran")


def refuses(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1200


# a name -> what the message says
NAMES = {
    "lstm[clip": r"cell 'lstm\[clip': a name with options ends in \]",
    "lstm[clip=1,clip=2]": "written name.option=value,option=value., each once",
    "lstm[clip]": "written name.option=value",
    "lstm[]": "written name.option=value",
    "lstm[=1]": "written name.option=value",
    "lstm[clip=1,]": "written name.option=value",
    "lstm[clip=1]]": r"option clip of lstm is '1\]'; needs a finite number above 0, or none",
    "[clip=1]": "unknown cell ''; allowed: ",
    "lstn[clip=1]": "unknown cell 'lstn'; allowed: .*lstm_peephole",
    "lstm[clop=1]": "unknown option of lstm 'clop'; allowed: gate_activation, .*cell_clip",
    "atr[clip=1]": "cell atr has no options; 'clip' was given",
    "lstm[clip=0]": "option clip of lstm is '0'; needs a finite number above 0, or none",
    "lstm[clip=-1]": "option clip of lstm is '-1'",
    "lstm[clip=nan]": "option clip of lstm is 'nan'",
    "lstm[clip=inf]": "option clip of lstm is 'inf'",
    "lstm[clip=]": "option clip of lstm is ''",
    "lstm[coupled=2]": "option coupled of lstm is '2'; needs true or false",
    "lstm[biases=3]": "option biases of lstm is '3'; needs a whole number, 0 to 2",
    "qrnn[kernel=0]": "option kernel of qrnn is '0'; needs a whole number, 1 to 6",
    "qrnn[kernel=1.5]": "needs a whole number, 1 to 6",
    "esn_leaky[leak=1.01]": "needs a finite number above 0, at most 1$",
    "phased_lstm[leak=-0.1]": "needs a finite number of at least 0, at most 1$",
    "cornn[gamma=-1]": "needs a finite number of at least 0$",
    "antisymmetric_rnn[gamma=x]": "option gamma of .* is 'x'; needs a finite number$",
    "slstm[forget=tanh]": "option forget of slstm is 'tanh'; allowed: exp, sigmoid",
    "lstm[gate_activation=tan]": "gate_activation of lstm is 'tan'; allowed: tanh, relu, sigmoid",
    "lstm[gate_activation=affine(0)]": "affine: alpha must be a finite number other than 0",
    "clockwork[periods=1:0]": "needs whole numbers of at least 1, as 1:2:4",
    "clockwork[periods=3:2]": r"cell clockwork\[periods=3:2\]: periods 3:2 must increase",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_refused(name):
    refuses(lambda: get_cell(name), NAMES[name])
    refuses(lambda: init_params(name, 4, 7), NAMES[name])
    refuses(lambda: Untouched().forward(name, {}, np.zeros((5, 3, 4))), NAMES[name])


@pytest.mark.parametrize("command", ["verify", "train charlm", "compare", "cells"])
@pytest.mark.parametrize("name", ["lstm[clip", "lstm[clip=0]", "gru[nosuch=1]", "lstn[clip=1]"])
def test_commands_refuse_with_one_line_and_exit_code_2(command, name, monkeypatch, capsys):
    where = [name] if command == "cells" else ["--cell", name]
    monkeypatch.setattr("sys.argv", ["rnnbench", *command.split(), *where])
    with pytest.raises(SystemExit) as stopped:
        run()
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("rnnbench: ") and shown.err.count("\n") == 1
    assert not shown.out


def test_options_as_arguments():
    refuses(
        lambda: get_cell("lstm[clip=3]", clip=3), r"cell 'lstm\[clip=3\]' sets clip and so does"
    )
    refuses(lambda: get_cell("lstm", clop=3), "unknown option of lstm 'clop'; allowed: ")
    refuses(lambda: get_cell("atr", clip=3), "cell atr has no options; 'clip' was given")
    refuses(lambda: get_cell("lstm", clip=np.ones((9, 9))), r"clip of lstm is array\(\[\[1., 1.")
    refuses(lambda: get_cell("lstm", clip=10**400), "clip of lstm is 1000.*needs a finite number")
    refuses(lambda: get_cell("lstm", coupled="maybe"), "coupled of lstm is 'maybe'")
    refuses(lambda: get_cell(get_cell("lstm"), clip=3), "lstm is built; give its name to choose")
    refuses(lambda: get_cell(np.ones((9, 9))), r"unknown cell array\(\[\[1., 1.")
    refuses(lambda: get_cell("lstm\n"), r"unknown cell 'lstm\\n'")


@pytest.mark.parametrize(
    "read, good, bad",
    [
        (flag, {"true": True, "False": False, True: True}, ("", "1", 1, None, [True])),
        (number(above=0.0), {"1e-9": 1e-9, 3: 3.0}, (0, -1, "nan", "inf", True, None, "", [1], {})),
        (number(least=0.0, most=1.0), {0: 0.0, "-0": 0.0, "1": 1.0}, (-1e-9, 1.001, None)),
        (number(above=-1.0, off=True), {"none": None, None: None, "NONE": None, 0: 0.0}, (-1, "")),
        (number(), {-1e300: -1e300}, (10**400, "1e999", "-inf", object())),
        (count(1, 6), {"06": 6, 1: 1}, (0, 7, "1.0", 1.0, True, "-1", "²", "", None)),
        (choice("a", "b"), {"a": "a"}, ("", "A", None, ["a"])),
        (counts, {"1:2": "1:2", (1, 2): "1:2", 3: "3", "01": "1"}, ("", ":", "1:0", 1.5, None, ())),
    ],
)  # fmt: skip
def test_readers(read, good, bad):
    """Canonical values are fixed points; the message says what the details page says."""
    for given, value in good.items():
        assert read(given) == value and type(read(given)) is type(value)
        assert read(value) == value == read(str(value))
        assert str(value) != "-0.0"
    for given in bad:
        with pytest.raises(ValueError) as caught:
            read(given)
        assert str(caught.value).endswith(read.allowed)


@pytest.mark.parametrize("cell", cell_names())
def test_every_option_says_what_it_may_be(cell):
    for option in get_definition(cell).options:
        assert option.help and option.read.allowed
        for value in (option.default, *option.samples):
            assert option.read(value) == value == option.read(str(value))


def test_full_names_read_back():
    for text in ("lstm", "lstm[clip=1.5,biases=2]", "elman_tanh[activation=scaled_tanh(2,0.5)]"):
        name, options = split_name(text)
        assert full_name(name, options) == text == get_cell(text).name
    assert get_cell("lstm[coupled=TRUE,clip=1.50]").name == "lstm[clip=1.5,coupled=True]"
    assert get_cell("lstm[clip=none]") is get_cell("lstm")


# what is wrong -> (cell, change of the inputs, what the message says)
INPUTS = {
    "missing": (MASKED, {"zoneout_h": None}, r"input 'zoneout_h' of lstm\[.* is missing; needs"),
    "unknown": (MASKED, {"zoneout_x": 1}, "unknown input of .* 'zoneout_x'; allowed: zoneout_h, z"),
    "to a cell without": ("lstm", {"mask": 1}, "cell lstm takes no inputs beside x; 'mask' was"),
    "2-D": (MASKED, {"zoneout_c": np.zeros((5, 3))}, "input zoneout_c has 2 dimensions"),
    "short": (MASKED, {"zoneout_c": np.zeros((4, 3, 7))}, r"shape \(4, 3, 7\); needs \(5, 3, 7\)"),
    "narrow": (MASKED, {"zoneout_c": np.zeros((5, 3, 6))}, r"\(5, 3, 6\); needs \(5, 3, 7\)"),
    "bool": (MASKED, {"zoneout_c": np.ones((5, 3, 7), bool)}, "zoneout_c has dtype bool; allowed"),
    "other dtype": (MASKED, {"zoneout_c": np.zeros((5, 3, 7), np.float32)}, "has dtype float32"),
    "of a unit": ("phased_lstm", {"timestamp": np.zeros((5, 3, 7))}, "timestamp has 3 dimensions"),
    "mask of h, not P": (
        "lstm[projection=True,zoneout=True]",
        {"zoneout_h": np.zeros((5, 3, 7))},
        r"zoneout_h has shape \(5, 3, 7\); needs \(5, 3, 4\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", INPUTS)
def test_inputs_are_refused(wrong):
    cell, change, message = INPUTS[wrong]
    case = random_case(cell)
    inputs = {k: v for k, v in (case.inputs | change).items() if v is not None}
    arguments = cell, case.params, case.x
    refuses(lambda: Untouched().forward(*arguments, inputs=inputs), message)
    refuses(lambda: run_schedule(full(5), Untouched(), *arguments, case.dy, inputs=inputs), message)
    refuses(
        lambda: Untouched().forward(*arguments, inputs=[1]), "inputs is a list; needs a mapping"
    )


def test_widths():
    case = random_case(OWN_X, H=7)
    narrow = np.ascontiguousarray(case.x[:, :, :6])
    forward = Untouched().forward
    refuses(
        lambda: forward(OWN_X, case.params, narrow),
        r"cell sru\[input_projection=False\] adds x itself and needs H = I; x has I=6.*have H=7",
    )
    refuses(lambda: init_params(OWN_X, 4, 7), "adds x itself and needs H = I; given I=4, H=7")
    for make in (init_params, lambda cell, I, H, **widths: random_case(cell, I=I, H=H, **widths)):
        refuses(
            lambda make=make: make("gru", 4, 7, P=3), "cell gru has no width beside I and H; 'P'"
        )
        refuses(lambda make=make: make("scrn", 4, 7, P=3), "unknown width of scrn 'P'; allowed: S")
        for bad in (0, -1, 2.0, "3", True, None):
            refuses(
                lambda make=make, bad=bad: make("scrn", 4, 7, S=bad), "width S is .*; needs a whole"
            )
    projected = random_case("lstm[projection=True]", P=3)
    state = {"h": np.zeros((3, 7))}
    refuses(
        lambda: forward(projected.cell, projected.params, projected.x, state),
        r"state h has shape \(3, 7\); needs \(3, 3\)",
    )
    params = projected.params | {"R": np.zeros((28, 7))}
    refuses(
        lambda: forward(projected.cell, params, projected.x),
        r"parameter P has shape \(3, 7\); needs \(7, 7\) for I=4, H=7, P=7",
    )


def test_scalars_and_missing_parameters():
    case = random_case("fast_rnn")
    forward = Untouched().forward
    changes = {
        "a scalar is expected": {"alpha": np.zeros(1)},
        "parameter alpha has dtype int64": {"alpha": 1},
        "parameter alpha is float32, x is float64; give one dtype": {"alpha": np.float32(1)},
    }
    for message, change in changes.items():
        refuses(lambda change=change: forward(case.cell, case.params | change, case.x), message)
    some = {"W": case.params["W"]}
    refuses(
        lambda: forward(case.cell, some, case.x), "parameter 'R' of fast_rnn is missing; needs W, R"
    )
