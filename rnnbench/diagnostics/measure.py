"""One cell's curve or gates, measured: what ``rnnbench gradflow`` shows, draws and writes."""

from dataclasses import dataclass

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import check_sizes
from rnnbench.diagnostics import flow, heatmap
from rnnbench.diagnostics.start import (
    Start,
    random_inputs,
    random_sequences,
    start_params,
    text_sequence,
)
from rnnbench.tasks.model import Model

CURVES = ("flow", "radius", "gradients")
NORMS = ("spectral", "frobenius")
LOSSES = ("last", "every")


@dataclass(frozen=True)
class Setting:
    """What all cells are measured with. text: None for random sequences of ``steps`` steps."""

    steps: int = 100
    batch: int = 4
    hidden: int = 64
    input_size: int = 64
    seed: int = 0
    text: str | None = None


def problem(start: Start, setting: Setting) -> tuple[dict, dict]:
    """(what ``follow`` takes after the target, what is told of it) of an untrained cell."""
    cell, s = get_cell(start.cell), setting
    check_sizes(cell, s.input_size, s.hidden)
    params, biases = start_params(start, s.input_size, s.hidden, s.seed)
    if s.text is None:
        x = random_sequences(s.steps, s.batch, s.input_size, s.seed)
    else:
        x = text_sequence(s.text, s.input_size, s.seed)
    T, B, I = x.shape
    inputs = random_inputs(cell, T, B, I, s.hidden, s.seed)
    told = {"gain": 1.0 if start.gain is None else start.gain, "biases": biases}
    return {"cell": cell, "params": params, "x": x, "inputs": inputs}, told


def trained_problem(model: Model, text: str) -> dict:
    """What ``follow`` takes, of a trained language model that reads a text; in float64."""
    x = model.x(model.vocabulary.encode(text)[:, None])
    return {
        "cell": get_cell(model.name),
        "params": {name: p.astype(np.float64) for name, p in model.cell.items()},
        "x": x.astype(np.float64),
        "inputs": {k: v.astype(np.float64) for k, v in model.step_inputs(0, x).items()},
    }


def curve(what: str, target, given: dict, norm: str, loss: str, seed: int) -> dict:
    """log10 (n,B) by place, and by state where there is such; last: log₁₀ of the row's summary.

    flow, gradients: n = T+1, by lag T−t; radius: n = T, by step.
    """
    path = flow.follow(target, **given)
    if what == "flow":
        found = flow.gradient_flow(path)
        values = getattr(found, norm)
        return {"log10": values, "by_state": found.by_state, "last": flow.factor(values)}
    if what == "radius":
        with np.errstate(divide="ignore"):
            values = np.log10(flow.spectral_radii(path))
        return {"log10": values, "last": float(values.max())}
    gradients = flow.state_gradients(path, flow.loss_gradient(path, loss == "every", seed))
    values = flow.gradient_norms(gradients)
    by_state = {name: flow.gradient_norms({name: g}) for name, g in gradients.items()}
    return {"log10": values, "by_state": by_state, "last": flow.factor(values)}


def gates(given: dict, names: list[str]) -> dict[str, np.ndarray]:
    """Gate -> (T,width), along the first sequence."""
    found = heatmap.signals(**given, names=names)
    return {name: values[:, 0] for name, values in found.items()}
