"""The CUDA target: lays out buffers, launches the kernels, hands results back."""

from dataclasses import dataclass

import numpy as np
from numba import cuda

from rnnbench.checks import check_count
from rnnbench.cuda.backward import add_columns, backward_kernel
from rnnbench.cuda.forward import forward_kernel
from rnnbench.cuda.gemm import LARGEST_TILE, TILE, Matrix, gemm
from rnnbench.cuda.jit import LARGEST_BLOCK, SIMULATED, available, launch
from rnnbench.cuda.memory import (
    Arena,
    gradient_arena,
    input_values,
    pack_weights,
    places,
    tape_arena,
    unpack_parameters,
    weight_arena,
)
from rnnbench.cuda.plan import Plan, make_plan
from rnnbench.errors import InputError, MissingDependency
from rnnbench.problem import Problem
from rnnbench.spec import INPUT
from rnnbench.target import Forward, Gradients, Target


@dataclass(frozen=True)
class Tape:
    """What backward needs, on the device: the buffers of memory.py, and integers (``order``)."""

    problem: Problem
    plan: Plan
    arenas: tuple[Arena, Arena]  # of weights and tape
    order: Arena  # of index
    weights: object
    tape: object
    index: object

    def table(self, *more: Arena) -> dict:
        """Every place, by name."""
        return places(self.plan, self.problem, *self.arenas, *more)


class CUDATarget(Target):
    """Numba kernels on a GPU, or in Numba's simulator.

    block: threads a block of the time loop, at most 512 (default: the hidden size, in warps);
    tile: a block of a matrix product has tile² threads, at most 16². Neither changes a bit of
    the result.
    """

    name = "cuda"
    Tape = Tape

    def __init__(self, block: int | None = None, tile: int | None = None):
        if not available():
            raise MissingDependency(
                "no GPU for the cuda target: install 'rnnbench[cuda]' on a machine with an NVIDIA "
                "GPU, or set NUMBA_ENABLE_CUDASIM=1 for the simulator"
            )
        for name, value, most in (("block", block, LARGEST_BLOCK), ("tile", tile, LARGEST_TILE)):
            if value is not None and check_count(name, value) > most:
                raise InputError(f"{name} is {value}; allowed: 1 to {most}")
        self.block, self.tile = block, tile or TILE

    def threads(self, plan: Plan, sizes) -> int:
        """Threads of a block of the time loop: one a unit, up to a limit, in whole warps; few in
        the simulator, so that a thread has several units and some have one more than others."""
        if self.block is not None:
            return self.block
        widest = max(sizes[stage.width] for stage in plan.spec.stages)
        return min(widest, 3) if SIMULATED else min(-(-widest // 32) * 32, LARGEST_BLOCK)

    # -- forward ---------------------------------------------------------------------------

    def run_forward(self, problem: Problem, keep: bool, ready) -> Forward:
        tape = upload(make_plan(problem.cell), problem)
        table = tape.table()
        self.input_products(tape, table)
        kernel, names = forward_kernel(problem.cell)
        threads = self.threads(tape.plan, problem.sizes)
        arguments = (names.values(table), tape.index, tape.weights, tape.tape)
        launch(kernel, problem.B, threads, *arguments)
        states, arena = problem.spec.states, tape.arenas[1]
        span = arena.span(("state", states[0].name), ("state", states[-1].name))
        buffer = tape.tape[span].copy_to_host()
        history = {s.name: arena.view(buffer, ("state", s.name), span.start) for s in states}
        y = history[problem.spec.output][1:].copy()
        if problem.valid is not None:
            y[~problem.valid] = 0
        return Forward(y, history, tape if keep else None)

    def input_products(self, tape: Tape, table: dict) -> None:
        """pre (T·B, columns that x feeds) = x Wᵀ, all steps at once."""
        p, A, inner = tape.problem, table["columns"], tape.problem.sizes["I"]
        order = first(tape.order.span("count"), inner)
        for start, stop in tape.plan.fed_columns(INPUT, p.sizes):
            x = Matrix(tape.tape, table["x"], inner, 1)
            w = Matrix(tape.weights, table["W"] + start * inner, 1, inner)
            pre = Matrix(tape.tape, table["pre"] + start, A, 1)
            gemm((p.T * p.B, stop - start), pre, x, w, tape.index, order, self.tile)

    # -- backward --------------------------------------------------------------------------

    def run_backward(self, tape: Tape, dy: np.ndarray, dstate: dict) -> Gradients:
        problem, plan = tape.problem, tape.plan
        arena = gradient_arena(plan, problem)
        grads = cuda.device_array(arena.size, problem.dtype)
        given = {"dy": dy, "dunit": np.zeros(arena.shapes["dunit"], problem.dtype)}
        given |= {("dstate", name): value for name, value in dstate.items()}
        put(grads, arena, given)
        table = tape.table(arena)
        kernel, names = backward_kernel(problem.cell)
        threads = self.threads(plan, problem.sizes)
        arguments = (names.values(table), tape.index, tape.weights, tape.tape, grads)
        launch(kernel, problem.B, threads, *arguments)
        self.gradient_products(tape, table, grads)
        span = arena.span(("dstate", problem.spec.states[0].name), "dunits")
        results = grads[span].copy_to_host()
        params = unpack_parameters(plan, problem, arena, results, span.start)
        dx = arena.view(results, "dx", span.start).copy()
        if problem.valid is not None:
            dx[~problem.valid] = 0  # da is zero there, but W may hold an inf
        initial = {n: arena.view(results, ("dstate", n), span.start).copy() for n in dstate}
        return Gradients(params, dx, initial)

    def gradient_products(self, tape: Tape, table: dict, grads) -> None:
        """From da: the gradients at x, at the matrices (by source and column) and biases; and the
        sum over sequences of the per-unit ones. Sums over T·B read valid rows only: a frozen
        state past a sequence's end may be infinite."""
        p, plan, order = tape.problem, tape.plan, tape.order
        A, P, inner = table["columns"], table["unit columns"], p.sizes["I"]
        da = Matrix(grads, table["da"], A, 1)
        ones = Matrix(tape.weights, table["one"], 0, 0)

        def multiply(shape, c, a, b, k):
            gemm(shape, c, a, b, tape.index, k, self.tile)

        dx, w = Matrix(grads, table["dx"], inner, 1), Matrix(tape.weights, table["W"], inner, 1)
        multiply((p.T * p.B, inner), dx, da, w, order.span("columns"))
        for place in plan.copies:
            view = (p.T * p.B, inner, table["dx"], inner, table["da", *place], A)
            launch(add_columns, p.B, self.threads(plan, p.sizes), view, grads)
        rows = order.span("rows")
        for source in plan.sources:
            width = p.sizes[plan.source_width(source)]
            place = table[INPUT] if source == INPUT else table[plan.source_kind(source)]
            values = Matrix(tape.tape, place, width, 1)
            for start, stop in plan.fed_columns(source, p.sizes):
                dmatrix = Matrix(grads, table["dmatrix", source] + start * width, width, 1)
                da_fed = Matrix(grads, table["da"] + start, 1, A)
                multiply((stop - start, width), dmatrix, da_fed, values, rows)
        da = Matrix(grads, table["da"], 1, A)
        multiply((A, 1), Matrix(grads, table["dbias"], 1, 1), da, ones, rows)
        dunit = Matrix(grads, table["dunit"], 1, P)
        sequences = first(order.span("count"), p.B)
        multiply((P, 1), Matrix(grads, table["dunits"], 1, 1), dunit, ones, sequences)

    # -- products --------------------------------------------------------------------------

    def run_matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        (M, K), N = a.shape, b.shape[1]
        if K == 0 or M * N == 0:
            return np.zeros((M, N), a.dtype)
        c = cuda.device_array(M * N, a.dtype)
        flat_a, flat_b = cuda.to_device(a.reshape(-1)), cuda.to_device(b.reshape(-1))
        views = Matrix(c, 0, N, 1), Matrix(flat_a, 0, K, 1), Matrix(flat_b, 0, N, 1)
        order = cuda.to_device(np.arange(K, dtype=np.int64))
        gemm((M, N), *views, order, slice(0, K), self.tile)
        return c.copy_to_host().reshape(M, N)


def first(span: slice, count: int) -> slice:
    """The first elements of a span."""
    return slice(span.start, span.start + count)


def put(buffer, arena: Arena, values: dict) -> None:
    """Copy arrays to their places in a device buffer (a shorter one to the place's start)."""
    for name, value in values.items():
        if value.size:
            at = first(arena.span(name), value.size)
            buffer[at].copy_to_device(value.reshape(-1))


def upload(plan: Plan, p: Problem) -> Tape:
    """Weights, x, initial states and integers, on the device.

    The integers: lengths; rows, the valid t·B + b of (T·B, ·) arrays, last first; columns that x
    feeds; count, 0, 1, … up to the larger of I and B.
    """
    arenas = weight_arena(plan, p.sizes), tape_arena(plan, p)
    tape = cuda.device_array(arenas[1].size, p.dtype)
    put(tape, arenas[1], {"x": p.x} | {("state", name): v for name, v in p.state.items()})
    put(tape, arenas[1], input_values(plan, p))
    valid = np.ones((p.T, p.B), bool) if p.valid is None else p.valid
    columns = [np.arange(*span) for span in plan.fed_columns(INPUT, p.sizes)]
    integers = {
        "lengths": p.lengths,
        "rows": np.flatnonzero(valid)[::-1],
        "columns": np.concatenate(columns or [np.zeros(0)]),
        "count": np.arange(max(p.sizes["I"], p.B)),
    }
    order = Arena({name: values.shape for name, values in integers.items()})
    index = np.concatenate(list(integers.values())).astype(np.int64)
    weights = cuda.to_device(pack_weights(plan, p, arenas[0]))
    return Tape(p, plan, arenas, order, weights, tape, cuda.to_device(index))
