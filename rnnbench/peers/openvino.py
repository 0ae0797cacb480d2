"""OpenVINO on a model of one RNN, GRU or LSTM sequence operation. Forward only.

The weights are constants of the model, laid out once, before anything is timed. Gates: f i c o
(c is our g), GRU z r h (h is our n); its ``linear_before_reset`` is reset after the product, with
the two biases of n apart; other biases are sums. It would choose bfloat16 where a processor has
it: float32 is asked for.

The operations are batch-first. The transpositions from and to our time-major x and y are in the
graph: the CPU plugin, whose kernels are time-major, makes them relabellings, so that this is no
slower than the operation alone on arrays that are batch-first already.
"""

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.adapters.standard import (
    ACTIVATIONS,
    BEFORE,
    Blocks,
    Layer,
    as_layer,
    stack,
    weights,
)
from rnnbench.peers import is_own
from rnnbench.peers.workload import FORWARD, Workload

ORDER = {"RNN": ("a",), "GRU": ("z", "r", "n"), "LSTM": ("f", "i", "g", "o")}


def version() -> str:
    import openvino

    return openvino.__version__.partition("-")[0]  # without the build and the branch


def offered(cell: str) -> Layer:
    """The cell as one operation that the CPU plugin doesn't take apart into a loop."""
    layer = as_layer(cell, (BEFORE,))
    changed = {k: v for k, v in layer.activations.items() if v != ACTIVATIONS[layer.kind][k]}
    if changed and changed != {"activation": "relu"}:
        raise NotImplementedError("other activation functions become a loop")
    return layer


def offers(cell: str, direction: str) -> bool:
    return direction == FORWARD and is_own(offered, cell)


def prepare(workload: Workload, threads: int):
    import openvino

    case, layer = workload.case(), offered(workload.cell)
    names = list(layer.states.values())
    feeds = [case.x, *(case.state[name][:, None] for name in names)]
    blocks = weights(layer, get_cell(workload.cell).spec, case.params)
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Core().compile_model(build(layer, blocks, feeds), "CPU", settings)
    request = model.create_infer_request()
    for k, array in enumerate(feeds):
        request.get_input_tensor(k).data[:] = array

    def run():
        request.infer()  # from and into the request's own tensors, the same at every call
        return request

    def arrays(request):
        y, *finals = (request.get_output_tensor(k).data.copy() for k in range(len(feeds)))
        pairs = zip(names, finals, strict=True)
        return {"y": y[:, 0]} | {f"final.{name}": a[:, 0] for name, a in pairs}

    return run, arrays


def biases(layer: Layer, blocks: Blocks) -> np.ndarray:
    """(1, rows): one bias a gate, and n's two where the reset comes after the product."""
    order, H = ORDER[layer.kind], len(blocks["R"][ORDER[layer.kind][0]])
    if "b" not in blocks:
        return np.zeros((1, H * (len(order) + (layer.reset == "after"))), np.float32)
    summed = {gate: blocks["b"][gate] + blocks["b_R"][gate] for gate in order}
    if layer.reset == "after":
        summed |= {"n": blocks["b"]["n"], "n_h": blocks["b_R"]["n"]}
    return stack(summed, summed)[None]


def build(layer: Layer, blocks: Blocks, feeds: list[np.ndarray]):
    """The model: x (T,B,I) and the states (B,1,H) -> y (T,1,B,H) and the final states."""
    import openvino
    from openvino import opset13 as ops

    (T, B, _), H = feeds[0].shape, feeds[1].shape[2]
    inputs = [ops.parameter(array.shape, np.float32) for array in feeds]
    x = ops.transpose(inputs[0], ops.constant(np.array([1, 0, 2])))
    lengths = ops.constant(np.full(B, T, np.int32))
    W, R = (ops.constant(stack(blocks[n], ORDER[layer.kind])[None]) for n in ("W", "R"))
    operation = {"RNN": ops.rnn_sequence, "GRU": ops.gru_sequence, "LSTM": ops.lstm_sequence}
    options = {"activations": list(layer.activations.values())}
    if layer.kind == "GRU":
        options["linear_before_reset"] = layer.reset == "after"
    node = operation[layer.kind](
        x, *inputs[1:], lengths, W, R, ops.constant(biases(layer, blocks)), H, "forward", **options
    )
    y = ops.transpose(node.output(0), ops.constant(np.array([2, 1, 0, 3])))
    results = [y.output(0), *(node.output(k) for k in range(1, len(inputs)))]
    return openvino.Model(results, inputs)
