"""``rnnbench gradflow``: vanishing and exploding gradients, and gates at work, made visible."""

import contextlib
import sys

import click
from click.core import ParameterSource

from rnnbench.commands._options import json_option
from rnnbench.target import TARGETS

COMMANDLINE = ParameterSource.COMMANDLINE
MOST = 2**40  # numbers in an array
WHAT = ("flow", "radius", "gradients", "gates")


@click.command()
@click.option(
    "--cell", "cells", multiple=True, required=True, help="Repeatable; a start may follow."
)
@click.option("--what", type=click.Choice(WHAT), default="flow", show_default=True)
@click.option("--steps", type=int, default=100, show_default=True, help="T, of random sequences.")
@click.option("--batch", type=int, default=4, show_default=True, help="Random sequences.")
@click.option("--hidden", type=int, default=64, show_default=True, help="H.")
@click.option("--input-size", type=int, help="I.  [default: H]")
@click.option("--gain", type=float, help="Of recurrent matrices.  [default: 1]")
@click.option(
    "--remember", type=int, help="Steps that gates keep a state; 0: no bias.  [default: T]"
)
@click.option(
    "--norm", type=click.Choice(("spectral", "frobenius")), default="spectral", show_default=True
)
@click.option("--loss", type=click.Choice(("last", "every")), default="last", show_default=True)
@click.option("--text", help="Read this, character by character, in place of random sequences.")
@click.option("--train", type=int, help="First train on Python's help texts, so many steps.")
@click.option("--gate", "names", multiple=True, help="Repeatable; default: all gates.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--target", "target_name", default="plain", show_default=True, help=" | ".join(TARGETS)
)
@json_option
@click.option("--plot", "plot_path", metavar="FILE", help="Also draw it, as .svg or .png.")
@click.pass_context
def command(
    context, cells, what, steps, batch, hidden, input_size, gain, remember, norm, loss, text, train,
    names, seed, target_name, json_path, plot_path,
):  # fmt: skip
    """What is left of a gradient after so many steps back, cell by cell.

    s are a cell's states, h its output state. By --what:

    \b
    flow       the norm of dh_T/ds_t against the lag T-t: what a change of
               the states at t still does to the output at T. A straight
               line is a factor a step (the last column): below 1 the
               gradient vanishes, above 1 it explodes.
    radius     the largest eigenvalue of one step's Jacobian ds_{t+1}/ds_t,
               at each step t.
    gradients  the norm of dL/ds_t against T-t, for a loss L = u.h with a
               random u of length 1, at the last step or at every one (--loss).
    gates      the gates at each character of a --text; the plot is a heat
               map, a row a unit, a column a character.

    Norms are spectral, the largest singular value: what is left of the
    direction that fares best. --norm frobenius counts all directions. The
    table shows medians over the batch, the plot also the range, the file of
    --json every number. They are logarithms inside: 1e-600 is shown as such.

    Whether gradients vanish is a matter of the start too. Recurrent matrices
    start orthogonal, times --gain. Gates that keep a state (an LSTM's f, a
    GRU's z) are biased so that each keeps 1 - 1/N of it a step, and 1/e is
    left after N steps, the --remember: Gers 2000, Tallec & Ollivier 2018.
    Two forget sooner: rhn, with a gate a layer, and min_lstm (i and f share).
    A cell's own start goes behind its name:

    \b
    rnnbench gradflow --cell elman_tanh --cell elman_tanh:gain=3 \\
                      --cell lstm --cell gru --plot FILE.svg
    rnnbench gradflow --cell lstm:remember=0 --cell lstm:remember=20
    rnnbench gradflow --what radius --cell antisymmetric_rnn --cell esn
    rnnbench gradflow --what gates --cell lstm --train 300 \\
                      --text "The import statement" --plot FILE.png

    Random sequences are standard normal. A text gives each character a random
    vector, or, after --train, what `rnnbench train charlm` learned for it.
    """
    from rich.console import Console

    from rnnbench.checks import check_count
    from rnnbench.diagnostics.heatmap import check_signals
    from rnnbench.diagnostics.measure import Setting
    from rnnbench.diagnostics.start import check_remember, completed, read_start
    from rnnbench.peers.plot import check_plot
    from rnnbench.report import write_json
    from rnnbench.target import get_target

    given = {n for n in context.params if context.get_parameter_source(n) == COMMANDLINE}
    check_fit(given, what, text, train)
    check_plot(plot_path)
    for name, value in (("steps", steps), ("batch", batch), ("hidden", hidden)):
        check_count(f"--{name}", value)
    check_count("--seed", seed, 0)
    input_size = hidden if input_size is None else check_count("--input-size", input_size)
    if remember is not None:
        check_remember(remember)
    if train is not None:
        check_count("--train", train)
    starts = list(dict.fromkeys(read_start(cell) for cell in cells))
    if train is None:
        T = steps if text is None else len(text)
        starts = list(dict.fromkeys(completed(starts, gain, remember, T)))
    setting = Setting(steps, batch, hidden, input_size, seed, text)
    check_fits(setting)
    target = get_target(target_name)
    console = Console(width=None if sys.stdout.isatty() else 80, highlight=False)

    if what == "gates":
        for start in starts:
            check_signals(start.cell, list(names))
    with too_large(setting):
        problems = prepared(starts, setting, train)
    for one in problems:
        if "bits" in one:
            found = f"{one['label']}: {one['bits']:.2f} bits per character after {train} steps"
            console.print(found, markup=False)
    settings = vars(setting) | {"norm": norm, "loss": loss, "train": train, "target": target.name}
    if what == "gates":
        with too_large(setting):
            rows = gate_rows(problems, names)
        show_gate_rows(console, rows, setting)
        draw = draw_gate_rows
    else:
        with too_large(setting):
            rows = curve_rows(what, target, problems, norm, loss, seed)
        show_curve_rows(console, what, rows, setting, norm, loss)
        draw = draw_curve_rows
    if json_path:
        axis = TITLES[what][1] if what in TITLES else "t"
        found = {"what": what, "axis": axis, "settings": settings, "rows": rows}
        write_json(json_path, found)
    if plot_path:
        draw(plot_path, what, rows, setting, norm, loss)


def check_fit(given: set[str], what: str, text: str | None, train: int | None) -> None:
    """InputError for an option that would have no effect."""
    from rnnbench.errors import InputError

    def refuse(names, why):
        for name in names:
            if name in given:
                option = {"names": "gate", "target_name": "target"}.get(name, name)
                raise InputError(f"--{option.replace('_', '-')} {why}")

    if text is not None:
        if not text:
            raise InputError("--text is empty; needs at least one character")
        refuse(("steps", "batch"), "is for random sequences, not for a --text")
    elif what == "gates":
        raise InputError("--what gates shows the gates over a text; give one with --text")
    if train is not None:
        if text is None:
            raise InputError("--train is for reading a --text; give one")
        refuse(("gain", "remember", "input_size"), "is for untrained cells, not with --train")
    if what != "gates":
        refuse(("names",), "is for --what gates")
    else:
        refuse(("target_name",), "is not for --what gates: the plain target's tape is read")
    if what != "flow":
        refuse(("norm",), "is for --what flow")
    if what != "gradients":
        refuse(("loss",), "is for --what gradients")


@contextlib.contextmanager
def too_large(setting):
    """What memory can't hold is the user's to make smaller."""
    from rnnbench.errors import InputError

    try:
        yield
    except MemoryError as error:
        s = setting
        T = s.steps if s.text is None else len(s.text)
        sizes = f"T={T}, B={s.batch}, I={s.input_size}, H={s.hidden}"
        raise InputError(f"not enough memory for {sizes}; needs smaller ones") from error


def check_fits(setting) -> None:
    """InputError for sizes so large that NumPy has no shape for them."""
    s = setting
    widest = s.input_size + s.hidden
    with too_large(setting):
        if max(s.steps * s.batch, widest) * widest > MOST:
            raise MemoryError


def prepared(starts, setting, train) -> list[dict]:
    """Each cell's label, what was set, and the problem to run."""
    from rnnbench.diagnostics.measure import problem

    if train is not None:
        return [trained(start, setting, train) for start in starts]
    found = []
    for start in starts:
        given, told = problem(start, setting)
        found.append({"label": start.label, "cell": start.cell, **told, "given": given})
    return found


def trained(start, setting, steps: int) -> dict:
    """A character language model of ``rnnbench train charlm``, trained so many steps."""
    from rnnbench.diagnostics.measure import trained_problem
    from rnnbench.errors import InputError
    from rnnbench.target import get_target
    from rnnbench.tasks import charlm
    from rnnbench.tasks.model import Settings, check_cell
    from rnnbench.tasks.text import python_topics, split

    if start.label != start.cell:
        raise InputError(f"{start.label}: a start is for untrained cells, not with --train")
    check_cell(start.cell)
    settings = Settings(start.cell, hidden=setting.hidden, steps=steps, seed=setting.seed)
    training = charlm.train(split(python_topics())[0], get_target("cpu"), settings)
    bits = training.bits[-1]
    given = trained_problem(training.model, setting.text)
    return {"label": start.label, "cell": start.cell, "bits": bits, "given": given}


def curve_rows(what, target, problems, norm, loss, seed) -> list[dict]:
    from rnnbench.diagnostics.measure import curve

    rows = []
    for one in problems:
        told = {k: v for k, v in one.items() if k != "given"}
        rows.append(told | curve(what, target, one["given"], norm, loss, seed))
    return rows


TITLES = {
    "flow": ("norm of ∂h_T/∂s_t", "T-t", "a step"),
    "radius": ("spectral radius of ∂s_t+1/∂s_t", "t", "largest"),
    "gradients": ("norm of ∂L/∂s_t", "T-t", "a step"),
}


def title_of(what: str, rows: list[dict], setting, norm: str, loss: str) -> str:
    title, (n, B) = TITLES[what][0], rows[0]["log10"].shape
    kind = {"flow": f"{norm} ", "gradients": ""}.get(what, "")
    when = {"last": ", L at the last step", "every": ", L at every step"}[loss]
    over = "one random sequence" if B == 1 else f"median of {B} random sequences"
    over = over if setting.text is None else "a text"
    T = n if what == "radius" else n - 1
    return f"{kind}{title}{when if what == 'gradients' else ''}; T={T}, H={setting.hidden}; {over}"


def show_curve_rows(console, what, rows, setting, norm, loss) -> None:
    from rnnbench.diagnostics.tables import show_curves

    _, axis, last = TITLES[what]
    show_curves(console, title_of(what, rows, setting, norm, loss), f"{axis} =", rows, last)


def draw_curve_rows(path, what, rows, setting, norm, loss) -> None:
    from rnnbench.diagnostics.plots import draw_curves

    title, axis, _ = TITLES[what]
    curves = [
        {"label": row["label"], "x": range(len(row["log10"])), "log10": row["log10"]}
        for row in rows
    ]
    draw_curves(path, title_of(what, rows, setting, norm, loss), axis, title, curves)


def gate_rows(problems, names) -> list[dict]:
    """A row a cell and gate: its saturation, and all values (T,width)."""
    from rnnbench.diagnostics.heatmap import saturation
    from rnnbench.diagnostics.measure import gates

    rows = []
    for one in problems:
        told = {k: v for k, v in one.items() if k != "given"}
        for name, values in gates(one["given"], list(names)).items():
            rows.append(told | {"gate": name} | saturation(values) | {"values": values})
    return rows


def show_gate_rows(console, rows, setting) -> None:
    from rnnbench.diagnostics.tables import show_gates

    show_gates(console, f"gates over {len(setting.text)} characters; H={setting.hidden}", rows)


def draw_gate_rows(path, what, rows, setting, norm, loss) -> None:
    from rnnbench.diagnostics.plots import draw_gates

    panels = [(f"{row['label']}, {row['gate']}", row["values"]) for row in rows]
    draw_gates(path, setting.text, panels)
