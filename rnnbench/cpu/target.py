"""The CPU target: lays out arrays, runs the kernels' phases, hands results back."""

import threading
from dataclasses import dataclass

import numpy as np

from rnnbench.checks import Problem, check_count
from rnnbench.cpu.backward import backward_steps, bias_rows
from rnnbench.cpu.forward import fill_rows, forward_steps
from rnnbench.cpu.pack import pack_columns, pack_gates, packed_width, padded
from rnnbench.cpu.plan import Plan, Run, make_plan
from rnnbench.cpu.threads import available, share
from rnnbench.cpu.tile import lanes, product
from rnnbench.spec import BIAS, SCALAR
from rnnbench.target import Forward, Gradients, Target

# Below this many multiply-adds a second thread costs more than it saves (≈ 20 µs a hand-over).
WORTH_A_THREAD = 400_000


@dataclass(frozen=True)
class Tape:
    """What backward needs: the sources (state histories, products) and the saves, as the spec
    says; saved[k] (saves, T·B, W)."""

    problem: Problem
    plan: Plan
    sources: tuple[np.ndarray, ...]
    saved: tuple[np.ndarray, ...]
    units: tuple[np.ndarray, ...]


class Workspace(threading.local):
    """Scratch arrays, kept from call to call and grown when needed; one set a Python thread."""

    def __init__(self):
        self.buffers: dict[tuple, np.ndarray] = {}

    def __call__(self, name: object, shape: tuple[int, ...], dtype) -> np.ndarray:
        """An array of any content."""
        key, size = (name, np.dtype(dtype).name), int(np.prod(shape))
        if key not in self.buffers or self.buffers[key].size < size:
            self.buffers[key] = np.empty(size, dtype)
        return self.buffers[key][:size].reshape(shape)

    def zeros(self, name: object, shape: tuple[int, ...], dtype) -> np.ndarray:
        array = self(name, shape, dtype)
        array.fill(0)
        return array


def run_table(plan: Plan, runs: list[Run], sizes) -> np.ndarray:
    """Recurrent runs as the kernels read them: stage, slot, slots, source, shift, K."""
    rows = [
        (r.stage, r.slot, len(r.gates), r.source, r.shift, sizes[plan.widths[r.source]])
        for r in runs
    ]
    return np.array(rows, np.int64).reshape(len(rows), 6)


class CPUTarget(Target):
    """Numba kernels on ``threads`` threads (default: the processors this process may use)."""

    name = "cpu"

    def __init__(self, threads: int | None = None):
        self.threads = available() if threads is None else check_count("threads", threads)
        self.workspace = Workspace()

    def worth(self, multiplications: int) -> int:
        """How many threads that much work deserves."""
        return max(1, min(self.threads, multiplications // WORTH_A_THREAD))

    # -- forward ---------------------------------------------------------------------------

    def run_forward(self, problem: Problem) -> Forward:
        plan, p = make_plan(problem.cell), problem
        spec, sizes, rows = p.spec, p.sizes, p.T * p.B
        sources = []
        for name, width in zip(plan.sources, plan.widths, strict=True):
            steps = p.T + 1 if name in p.state else p.T
            sources.append(np.empty((steps, p.B, sizes[width]), p.dtype))
            if name in p.state:
                sources[-1][0] = p.state[name]
        saved = tuple(np.empty((len(s.saves), rows, sizes[s.width]), p.dtype) for s in spec.stages)
        units = tuple(self.unit_values(p, s) for s in spec.stages)
        tape = Tape(p, plan, tuple(sources), saved, units)
        pre = self.input_products(p, plan)
        runs = plan.recurrent_runs
        panels = [
            pack_gates(p.params[r.parameter], r.gates, sizes[spec.stages[r.stage].width])
            for r in runs
        ] or [np.zeros((0, 0, 0, lanes(p.dtype)), p.dtype)]
        share(
            self.worth(rows * sum(panel.size for panel in panels)),
            p.B,
            lambda b0, b1: forward_steps(
                p.cell,
                run_table(plan, runs, sizes),
                tuple(panels),
                tape.sources,
                pre,
                saved,
                units,
                p.lengths,
                p.T,
                b0,
                b1,
            ),
        )
        return self.result(tape)

    def unit_values(self, p: Problem, stage) -> np.ndarray:
        """(units, W): the stage's per-unit parameters, a scalar repeated."""
        width = p.sizes[stage.width]
        parts = [np.broadcast_to(p.params[name], (len(p.spec.parameter(name).gates), width))
                 for name in stage.units]  # fmt: skip
        return np.concatenate([np.zeros((0, width), p.dtype), *parts])

    def input_products(self, p: Problem, plan: Plan) -> tuple[np.ndarray, ...]:
        """pre[k] (slots, T·B, Wpad): biases and products with x, for all steps."""
        rows, pre = p.T * p.B, []
        for k, stage in enumerate(p.spec.stages):
            width = p.sizes[stage.width]
            shape = (len(stage.slots), rows, padded(width, p.dtype))
            pre.append(self.workspace(("pre", k), shape, p.dtype))
            bias = np.zeros((shape[0], shape[2]), p.dtype)
            for stage_index, name, gate, slot in plan.biases:
                if stage_index == k:
                    bias[slot, :width] += p.params[name][gate * width : (gate + 1) * width]
            share(1, rows, fill_rows, pre[k], bias)
        x = p.x.reshape(-1)
        for r in plan.input_runs:
            panels = pack_gates(p.params[r.parameter], r.gates, p.sizes[self.width(p, r)])
            target, K = pre[r.stage], p.x.shape[2]
            line = target.shape[2]
            share(
                self.worth(rows * panels.size),
                rows,
                lambda lo, hi, target=target, line=line, panels=panels, r=r, K=K: product(
                    target.reshape(-1),
                    (r.slot * rows + lo) * line,
                    line,
                    rows * line,
                    panels.shape[3],
                    x,
                    lo * K,
                    K,
                    1,
                    panels,
                    False,
                    hi - lo,
                    K,
                ),
            )
        return tuple(pre)

    @staticmethod
    def width(p: Problem, run: Run) -> str:
        return p.spec.stages[run.stage].width

    def result(self, tape: Tape) -> Forward:
        """Read-only views of the tape; y is copied only where padding must be zeroed."""
        p = tape.problem
        states = {}
        for name, history in zip(p.spec.state_names, tape.sources, strict=False):
            states[name] = history.view()
            states[name].flags.writeable = False
        y = states[p.spec.output][1:]
        if p.valid is not None:
            y = np.where(p.valid[:, :, None], y, p.dtype.type(0))
            y.flags.writeable = False
        return Forward(y, states, tape)

    # -- backward --------------------------------------------------------------------------

    def run_backward(self, tape: Tape, dy: np.ndarray, dstate: dict) -> Gradients:
        p, plan, spec, sizes = tape.problem, tape.plan, tape.problem.spec, tape.problem.sizes
        rows, scratch = p.T * p.B, self.workspace
        stages = list(enumerate(spec.stages))
        dslots = tuple(
            scratch(("dslots", k), (len(s.slots), rows, padded(sizes[s.width], p.dtype)), p.dtype)
            for k, s in stages
        )
        dsaved = tuple(
            scratch(("dsaved", k), (len(s.saves), p.B, sizes[s.width]), p.dtype) for k, s in stages
        )
        dunit = tuple(
            scratch.zeros(("dunit", k), (len(tape.units[k]), p.B, sizes[s.width]), p.dtype)
            for k, s in stages
        )
        # A product writes whole blocks of columns, so the running gradients are that wide.
        runs = plan.recurrent_runs
        panels = [self.row_panels(p, r) for r in runs]
        wide = {j: padded(sizes[w], p.dtype) for j, w in enumerate(plan.widths)}
        for r, panel in zip(runs, panels, strict=True):
            wide[r.source] = packed_width(panel[0])
        dsource = []
        for j, name in enumerate(plan.sources):
            shape = (2, p.B, wide[j]) if j < plan.n_states else (p.B, wide[j])
            dsource.append(scratch.zeros(("dsource", j), shape, p.dtype))
            if j < plan.n_states:
                dsource[j][0, :, : sizes[plan.widths[j]]] = dstate[name]
        dproduct = (*dsource[plan.n_states :], np.zeros((0, 0), p.dtype))
        share(
            self.worth(rows * sum(panel.size for panel in panels)),
            p.B,
            lambda b0, b1: backward_steps(
                p.cell,
                run_table(plan, runs, sizes),
                tuple(panels) or (np.zeros((0, 0, 0, 0, lanes(p.dtype)), p.dtype),),
                tape.sources,
                tape.saved,
                tape.units,
                p.lengths,
                dy,
                spec.state_names.index(spec.output),
                dslots,
                tuple(dsource[: plan.n_states]),
                dproduct,
                dsaved,
                dunit,
                b0,
                b1,
            ),
        )
        initial = {
            name: dsource[j][p.T % 2, :, : sizes[plan.widths[j]]].copy()
            for j, name in enumerate(spec.state_names)
        }
        params = self.parameter_gradients(tape, dslots, dunit)
        return Gradients(params, self.input_gradient(tape, dslots), initial)

    def row_panels(self, p: Problem, run: Run) -> np.ndarray:
        """(slots, blocks, W, n, lanes): each row block of a run's matrix, packed by columns."""
        width = p.sizes[self.width(p, run)]
        matrix = p.params[run.parameter]
        return np.stack([pack_columns(matrix[g * width : (g + 1) * width]) for g in run.gates])

    def input_gradient(self, tape: Tape, dslots) -> np.ndarray:
        """dx (T,B,I) = Σ over runs and slots of dslots · W."""
        p, rows = tape.problem, tape.problem.T * tape.problem.B
        result = None
        for r in tape.plan.input_runs:
            panels = self.row_panels(p, r)
            if result is None:
                result = self.workspace.zeros("dx", (rows, packed_width(panels[0])), p.dtype)
            for s, panel in enumerate(panels):
                self.multiply(
                    result,
                    dslots[r.stage][r.slot + s],
                    panel,
                    rows,
                    p.sizes[self.width(p, r)],
                )
        if result is None:
            return np.zeros_like(p.x)
        return result[:, : p.x.shape[2]].copy().reshape(p.x.shape)

    def multiply(self, c: np.ndarray, a: np.ndarray, panels: np.ndarray, M: int, K: int) -> None:
        """c (M, padded) += a (M, ≥K) · panels, rows shared out over threads."""
        n, v = panels.shape[2:]
        line, step = c.shape[1], a.shape[1]
        flat_c, flat_a = c.reshape(-1), a.reshape(-1)
        share(
            self.worth(M * panels.size),
            M,
            lambda lo, hi: product(
                flat_c, lo * line, line, v, n * v, flat_a, lo * step, step, 1, panels, False,
                hi - lo, K,
            ),
        )  # fmt: skip

    def parameter_gradients(self, tape: Tape, dslots, dunit) -> dict[str, np.ndarray]:
        p, plan = tape.problem, tape.plan
        grads = {name: np.zeros_like(value) for name, value in p.params.items()}
        packed: dict[tuple[int, int], np.ndarray] = {}
        for r in plan.runs:
            key = (r.source, r.shift)
            if key not in packed:
                packed[key] = pack_columns(self.source_rows(tape, *key))
            self.matrix_gradient(p, r, dslots[r.stage], packed[key], grads[r.parameter])
        for k, name, gate, slot in plan.biases:
            width = p.sizes[p.spec.stages[k].width]
            out = grads[name][gate * width : (gate + 1) * width]
            share(1, width, bias_rows, dslots[k], slot, out)
        for k, stage in enumerate(p.spec.stages):
            total, first = dunit[k].sum(axis=1), 0
            for name in stage.units:
                count = len(p.spec.parameter(name).gates)
                part = total[first : first + count]
                kind = p.spec.parameter(name).kind
                grads[name] += part.sum(dtype=p.dtype) if kind == SCALAR else part
                first += count
        assert all(q.kind != BIAS or q.name in grads for q in p.spec.parameters)
        return grads

    @staticmethod
    def source_rows(tape: Tape, source: int, shift: int) -> np.ndarray:
        """(T·B, K): what a run multiplied at each step."""
        p = tape.problem
        if source < 0:
            return p.x.reshape(p.T * p.B, -1)
        return tape.sources[source][shift : p.T + shift].reshape(p.T * p.B, -1)

    def matrix_gradient(self, p: Problem, run: Run, dslots, panels, out: np.ndarray) -> None:
        """out[gate rows] += Σ over T·B, last first, of dslotᵀ · source."""
        width, rows = p.sizes[self.width(p, run)], p.T * p.B
        line, v, n = packed_width(panels), panels.shape[3], panels.shape[2]
        result = self.workspace.zeros("dW", (len(run.gates), width, line), p.dtype)
        step = dslots.shape[2]
        flat_c, flat_a = result.reshape(-1), dslots.reshape(-1)
        for s, gate in enumerate(run.gates):
            first = (run.slot + s) * rows * step
            share(
                self.worth(width * panels.size),
                width,
                lambda lo, hi, s=s, first=first: product(
                    flat_c, (s * width + lo) * line, line, v, n * v, flat_a, first + lo, 1, step,
                    panels, True, hi - lo, rows,
                ),
            )  # fmt: skip
            out[gate * width : (gate + 1) * width] += result[s, :, : out.shape[1]]

    # -- products --------------------------------------------------------------------------

    def run_matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        panels = pack_columns(b)
        result = self.workspace.zeros("matmul", (a.shape[0], packed_width(panels)), a.dtype)
        self.multiply(result, a, panels, a.shape[0], a.shape[1])
        return result[:, : b.shape[1]].copy()
