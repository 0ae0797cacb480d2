"""Eligibility traces: RTRL without the paths that pass from step to step through a matrix.

Of ∂s'/∂s only the elementwise part is kept: a unit's own memory (a leak, a forget gate), no
recurrent weight. The traces then are as local as a step itself, and a loss's gradient at the
present states, the learning signal, weights them. It is the exact gradient of the surrogate in
which what the matrices multiply of the states before a step is a constant (stop-gradient), so the
true one for a recurrence without matrices.

e-prop: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass 2020, Nature Communications 11,
eqs. 3-4 (1901.09049). RFLO: Murray 2019, eLife 8:e43299, eqs. 3-5.
"""

import numpy as np

from rnnbench.checks import check_array
from rnnbench.errors import InputError
from rnnbench.gradients.online.algorithm import Algorithm, Network
from rnnbench.gradients.online.local import LocalStep


class EProp(Algorithm):
    """With the true ∂L_t/∂s_t as the learning signal ("symmetric" e-prop).

    Matrices inside a step are left out from step to step as well: of a projected LSTM, c's memory
    reaches h' through the projection alone, so that a loss of h sees the present step only.

    traces: (state, place) -> (B,w,c), one for each of the place's own units where the step is
    elementwise behind the place; (B,w,rows,c) where a later stage's matrix lies between."""

    name = "e_prop"
    source = "Bellec et al. 2020, Nature Communications 11:3625"
    kind = "biased"
    time, memory = "S² P", "S P"  # H times both for a place with a later stage's matrix behind it
    through_matrices = False

    def start(self, network: Network) -> None:
        self.network = network
        self.traces: dict[tuple[str, int], np.ndarray] = {}

    def advance(self, step: LocalStep) -> None:
        new: dict[tuple[str, int], np.ndarray] = {}
        for name, blocks in step.jacobian.items():
            for (old, i), trace in self.traces.items():
                if old in blocks:
                    slope = blocks[old].reshape(*blocks[old].shape, *[1] * (trace.ndim - 2))
                    add_trace(new, (name, i), slope * trace)
        for name, blocks in step.injection.items():
            for i, block in blocks.items():
                source = step.source(i)
                source = source[:, None, :] if block.ndim == 2 else source[:, None, None, :]
                add_trace(new, (name, i), block[..., None] * source)
        self.traces = new

    def contract(self, ds: np.ndarray) -> np.ndarray:
        layout = self.network.layout
        found = np.zeros(layout.N, ds.dtype)
        views = layout.split(found)
        for (name, i), trace in self.traces.items():
            signal = ds[:, layout.states[name]]
            each = "bn,bnc->nc" if trace.ndim == 3 else "bn,bnrc->rc"
            views[i] += np.einsum(each, signal, trace)
        return found


def add_trace(traces: dict, key: tuple[str, int], trace: np.ndarray) -> None:
    """traces[key] += trace; of a full and a local one, the local one is the full one's diagonal."""
    if key in traces and traces[key].ndim != trace.ndim:
        full, local = sorted((traces[key], trace), key=lambda v: -v.ndim)
        unit, trace = np.arange(full.shape[1]), full.copy()
        trace[:, unit, unit] += local
    elif key in traces:
        trace = traces[key] + trace
    traces[key] = trace


class RFLO(EProp):
    """Random feedback local online learning: e-prop's traces, and a learning signal that reaches
    the network by fixed random weights in place of the readout's transpose.

    feedback (E,H): the upstream gradient then is the one at the E readout units, (B,E), and y's is
    upstream · feedback. None: the upstream gradient at y itself, which is e-prop.
    """

    name = "rflo"
    source = "Murray 2019, eLife 8:e43299, eqs. 3-5"
    kind = "biased"

    def __init__(self, feedback: np.ndarray | None = None):
        self.feedback = None if feedback is None else check_array("feedback", feedback, 2).copy()

    def start(self, network: Network) -> None:
        super().start(network)
        spec, sizes = network.layout.spec, network.layout.sizes
        width = sizes[spec.state(spec.output).width]
        if self.feedback is None:
            return
        if self.feedback.shape[1] != width or self.feedback.dtype != network.dtype:
            given = f"{self.feedback.dtype}{self.feedback.shape}"
            raise InputError(f"feedback is {given}; needs {network.dtype} (E, {width})")

    def signal_width(self, output_size: int) -> int:
        return output_size if self.feedback is None else len(self.feedback)

    def signal(self, dy: np.ndarray) -> np.ndarray:
        return dy if self.feedback is None else self.network.target.matmul(dy, self.feedback)
