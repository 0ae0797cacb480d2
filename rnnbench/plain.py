"""The equations in plain NumPy: a target without a compiler, for checking many cells quickly.

One time step at a time, each stage's maths on whole (B, width) arrays. It shares the equations
with the kernels and nothing of their loops, products and memory.
"""

import functools
from dataclasses import dataclass

import numpy as np

from rnnbench.bind import bind
from rnnbench.equations import functions
from rnnbench.linearised import Linearised, matrix_sources, outputs
from rnnbench.problem import Problem
from rnnbench.spec import SCALAR, CellSpec, Term
from rnnbench.target import Forward, Gradients, Target


def _where_above(x, y, a, b):
    return np.where(x > y, a, np.where(x <= y, b, x + y))


STUBS = {
    functions.const: lambda x, v: x.dtype.type(v),
    functions.exp: np.exp,
    functions.tanh: np.tanh,
    functions.absolute: np.abs,
    functions.floor: np.floor,
    functions.log1p: np.log1p,
    functions.where_above: _where_above,
}


@functools.cache
def equation(function):
    """An equation on arrays; the stubs not in STUBS are plain Python over those that are."""
    return bind(function, lambda f: f, STUBS, equation)


@dataclass(frozen=True)
class Tape:
    """values[t][name]: states before the step by name, products and new states (``"h'"``);
    saved[t][k]: the saves of stage k."""

    problem: Problem
    values: list[dict[str, np.ndarray]]
    saved: list[list[tuple[np.ndarray, ...]]]


def earlier(spec: CellSpec, k: int, saved: list) -> tuple:
    """The saves of the stages before k that have its width."""
    return tuple(saved[e][i] for e, i in spec.earlier_saves(k))


def blocks(p: Problem, term: Term):
    """(rows of the parameter, slot) of each gate of a term."""
    parameter = p.spec.parameter(term.parameter)
    width = p.sizes[parameter.width]
    for gate, slot in zip(term.gates, term.slots, strict=True):
        first = parameter.gates.index(gate) * width
        yield slice(first, first + width), slot


def given(p: Problem, k: int, t: int) -> tuple[np.ndarray, ...]:
    """What a stage's maths receives as p: (1, width) parameters, (B, width) or (B, 1) inputs."""
    values = [np.atleast_2d(np.atleast_1d(p.params[n])[row]) for n, row in p.spec.unit_rows(k)]
    values += [p.inputs[name][t].reshape(p.B, -1) for name in p.spec.stages[k].inputs]
    return tuple(values)


class PlainTarget(Target):
    """NumPy on one thread; no compilation."""

    name = "plain"
    Tape = Tape

    def run_forward(self, p: Problem, keep: bool, ready) -> Forward:
        spec, states = p.spec, dict(p.state)
        history = {name: [value] for name, value in states.items()}
        tape = Tape(p, [], [])
        with np.errstate(all="ignore"):
            for t in range(p.T):
                values, saved = {"x": p.x[t]} | states, []
                for k, stage in enumerate(spec.stages):
                    slots = self.slots(p, k, values)
                    s = tuple(states[name] for name in spec.stage_states(k))
                    q = earlier(spec, k, saved)
                    out, kept = equation(p.cell.forward[k])(slots, s, q, given(p, k, t))
                    names = [*stage.products, *(f"{name}'" for name in stage.states)]
                    shape = (p.B, p.sizes[stage.width])
                    out = [np.broadcast_to(v, shape) for v in out]
                    values |= dict(zip(names, out, strict=True))
                    saved.append(kept)
                tape.values.append(values)
                tape.saved.append(saved)
                runs = (t < p.lengths)[:, None]
                states = {n: np.where(runs, values[f"{n}'"], old) for n, old in states.items()}
                for name, value in states.items():
                    history[name].append(value)
        arrays = {name: np.stack(values) for name, values in history.items()}
        y = arrays[spec.output][1:].copy()
        if p.valid is not None:
            y[~p.valid] = 0
        return Forward(y, arrays, tape if keep else None)

    def slots(self, p: Problem, k: int, values: dict) -> tuple[np.ndarray, ...]:
        stage = p.spec.stages[k]
        sums = {slot: np.zeros((p.B, p.sizes[stage.width]), p.dtype) for slot in stage.slots}
        for term in stage.terms:
            if not term.parameter:
                for slot in term.slots:
                    sums[slot] = sums[slot] + values[term.source]
                continue
            for rows, slot in blocks(p, term):
                block = p.params[term.parameter][rows]
                sums[slot] = sums[slot] + (values[term.source] @ block.T if term.source else block)
        return tuple(sums[slot] for slot in stage.slots)

    def run_backward(self, tape: Tape, dy: np.ndarray, dstate: dict) -> Gradients:
        p, spec = tape.problem, tape.problem.spec
        after, dx = dict(dstate), np.zeros_like(p.x)
        params = {name: np.zeros_like(value) for name, value in p.params.items()}
        with np.errstate(all="ignore"):
            for t in reversed(range(p.T)):
                runs = (t < p.lengths)[:, None]
                d = {f"{name}'": np.where(runs, value, 0) for name, value in after.items()}
                d[f"{spec.output}'"] = d[f"{spec.output}'"] + np.where(runs, dy[t], 0)
                d = self.step_backward(p, tape, t, d, params, runs[:, 0])
                dx[t] = np.where(runs, d.get("x", dx[t]), 0)
                after = {n: np.where(runs, d.get(n, 0), v) for n, v in after.items()}
        return Gradients(params, dx, {n: v.astype(p.dtype) for n, v in after.items()})

    def step_backward(self, p: Problem, tape: Tape, t: int, d: dict, params: dict, runs) -> dict:
        """d: gradients by the names of ``Tape.values``, of the new states at first; adds to
        ``params`` the rows that ``runs`` picks."""
        spec, values, saved = p.spec, tape.values[t], tape.saved[t]
        dsaved: dict[tuple[int, int], np.ndarray] = {}
        for k in reversed(range(len(spec.stages))):
            stage = spec.stages[k]
            zero = np.zeros((p.B, p.sizes[stage.width]), p.dtype)
            places = spec.earlier_saves(k)
            names = [*stage.products, *(f"{name}'" for name in stage.states)]
            dout = tuple(d.get(name, zero) for name in names)
            dq = tuple(dsaved.get((k, i), zero) for i in range(len(saved[k])))
            s = tuple(values[name] for name in spec.stage_states(k))
            q = earlier(spec, k, saved) + tuple(saved[k])
            maths = equation(p.cell.backward[k])
            da, ds, dearlier, dp = maths(dout, dq, s, q, given(p, k, t))
            for name, value in zip(spec.stage_states(k), ds, strict=True):
                d[name] = d.get(name, zero) + value
            for place, value in zip(places, dearlier, strict=True):
                dsaved[place] = dsaved.get(place, zero) + value
            self.units_backward(p, k, dp, params, zero, runs)
            da = dict(zip(stage.slots, (zero + v for v in da), strict=True))
            self.terms_backward(p, stage.terms, da, values, d, params, runs)
        return d

    @staticmethod
    def terms_backward(p: Problem, terms, da, values, d, params, runs) -> None:
        for term in terms:
            if not term.parameter:
                for slot in term.slots:
                    d[term.source] = d.get(term.source, 0) + da[slot]
                continue
            for rows, slot in blocks(p, term):
                inside = da[slot][runs]
                if not term.source:
                    params[term.parameter][rows] += inside.sum(axis=0)
                    continue
                params[term.parameter][rows] += inside.T @ values[term.source][runs]
                back = da[slot] @ p.params[term.parameter][rows]
                d[term.source] = d.get(term.source, 0) + back

    @staticmethod
    def units_backward(p: Problem, k: int, dp, params, zero, runs) -> None:
        for (name, row), value in zip(p.spec.unit_rows(k), dp, strict=True):
            total = (zero + value)[runs].sum(axis=0)
            if p.spec.parameter(name).kind == SCALAR:
                params[name] += total.sum()
            else:
                params[name][row] += total

    def linearise(self, tape: Tape) -> Linearised:
        """The local slopes of the steps that left ``tape``: rows of the cell's own backward maths,
        which is linear in the gradients it is given, for a gradient of one at a time."""
        self.check_tape(tape)
        p = tape.problem
        with np.errstate(all="ignore"):
            slopes = tuple(self.stage_slopes(tape, k) for k in range(len(p.spec.stages)))
        sources = {
            name: np.stack([values[name] for values in tape.values])
            for name in matrix_sources(p.spec)
        }
        return Linearised(p, slopes, sources)

    @staticmethod
    def stage_slopes(tape: Tape, k: int) -> np.ndarray:
        """(outputs, inputs, T, B, width) of stage k; see ``Linearised``."""
        p, spec = tape.problem, tape.problem.spec
        stage, maths = spec.stages[k], equation(p.cell.backward[k])
        zero = np.zeros((p.B, p.sizes[stage.width]), p.dtype)
        one, names = np.ones_like(zero), outputs(spec, k)
        first_save = len(stage.products) + len(stage.states)
        found = []
        for t, (values, saved) in enumerate(zip(tape.values, tape.saved, strict=True)):
            s = tuple(values[name] for name in spec.stage_states(k))
            q = earlier(spec, k, saved) + tuple(saved[k])
            for o in range(len(names)):
                unit = [zero] * (first_save + len(stage.saves))
                unit[o] = one
                dout, dq = tuple(unit[:first_save]), tuple(unit[first_save:])
                rows = maths(dout, dq, s, q, given(p, k, t))
                found.append([np.broadcast_to(row, zero.shape) for part in rows for row in part])
        shape = (p.T, len(names), -1, *zero.shape)
        return np.moveaxis(np.array(found, p.dtype).reshape(shape), 0, 2)

    def run_matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a @ b
