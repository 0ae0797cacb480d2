"""ONNX Runtime on a model of one RNN, GRU or LSTM node. Forward only.

The weights are constants of the model, so that it lays them out once, before anything is timed.
"""

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.adapters.onnxruntime import (
    CELLS,
    INITIAL,
    PEEPHOLES,
    build,
    version,  # noqa: F401 - a peer's version()
)
from rnnbench.conformance.layout import reorder, two_biases
from rnnbench.peers.workload import FORWARD, Workload


def offers(cell: str, direction: str) -> bool:
    return cell in CELLS and direction == FORWARD


def prepare(workload: Workload, threads: int):
    import onnx
    import onnxruntime

    case, spec = workload.case(), get_cell(workload.cell).spec
    operator, attributes, order = CELLS[workload.cell]
    weights = {name: reorder(case.params[name], spec.gates, order)[None] for name in ("W", "R")}
    biases = [reorder(b, spec.gates, order) for b in two_biases(spec, case.params)]
    weights["B"] = np.concatenate(biases)[None]
    if "p" in case.params:
        p = reorder(case.params["p"], spec.parameter("p").gates, PEEPHOLES)
        weights["P"] = p.reshape(1, -1)
    feeds = {"X": case.x} | {INITIAL[name]: a[None] for name, a in case.state.items()}
    outputs = ["Y", *(f"Y_{name}" for name in spec.state_names)]
    attributes = dict(attributes, hidden_size=workload.shape.H)
    model = onnx.load_from_string(build(operator, attributes, weights | feeds, outputs))
    graph = model.graph
    graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in weights.items())
    fed = [value for value in graph.input if value.name in feeds]
    del graph.input[:]
    graph.input.extend(fed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def arrays(result):
        y, *finals = result
        found = {f"final.{n}": a[0] for n, a in zip(spec.state_names, finals, strict=True)}
        return found | {"y": y[:, 0]}

    return lambda: session.run(None, feeds), arrays
