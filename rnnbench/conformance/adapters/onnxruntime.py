"""ONNX Runtime on models of one ONNX node: RNN, GRU or LSTM.

LSTM gates i o f c (c is our g), peepholes i o f; GRU gates z r h (h is our n),
``linear_before_reset`` 1 is reset after the product, its default 0 is before. Biases Wb then Rb.
Forward only, float32 only (1.31: "does not support double yet"). Y (T,D,B,H) is 0 past the end.
"""

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.layout import reorder, two_biases

DTYPES = ("float32",)
LSTM, GRU = ("i", "o", "f", "g"), ("z", "r", "n")
# cell -> ONNX operator, its attributes, its gate order in our names
CELLS = {
    "elman_tanh": ("RNN", {"activations": ["Tanh"]}, ("a",)),
    "elman_relu": ("RNN", {"activations": ["Relu"]}, ("a",)),
    "gru": ("GRU", {"linear_before_reset": 1}, GRU),
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}, GRU),
    "lstm": ("LSTM", {}, LSTM),
    "lstm_peephole": ("LSTM", {}, LSTM),
}
PEEPHOLES = ("i", "o", "f")
INITIAL = {"h": "initial_h", "c": "initial_c"}
OPSET, IR_VERSION = 14, 8


def version() -> str:
    import onnx  # noqa: F401 - builds the models
    import onnxruntime

    return onnxruntime.__version__


def run(cell, params, x, state, lengths, dy, dstate):
    """The protocol's function, without gradients."""
    import onnxruntime

    if cell not in CELLS:
        raise NotImplementedError("ONNX has no such operator")
    if lengths.min() < 1:
        raise NotImplementedError("length 0: its final state is 0, not the initial state")
    spec, (operator, attributes, order) = get_cell(cell).spec, CELLS[cell]
    biases = [reorder(b, spec.gates, order) for b in two_biases(spec, params)]
    feeds = {
        "X": x,
        "W": reorder(params["W"], spec.gates, order)[None],
        "R": reorder(params["R"], spec.gates, order)[None],
        "B": np.concatenate(biases)[None],
        "sequence_lens": lengths.astype(np.int32),
    }
    feeds |= {INITIAL[name]: a[None] for name, a in state.items()}
    if "p" in params:
        feeds["P"] = reorder(params["p"], spec.parameter("p").gates, PEEPHOLES).reshape(1, -1)
    outputs = ["Y", *(f"Y_{name}" for name in spec.state_names)]
    model = build(operator, dict(attributes, hidden_size=dy.shape[2]), feeds, outputs)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    y, *finals = session.run(None, feeds)
    result = {"y": y[:, 0]}
    return result | {f"final.{n}": a[0] for n, a in zip(spec.state_names, finals, strict=True)}


def build(operator, attributes, feeds, outputs) -> bytes:
    """A model of one node whose inputs are all fed."""
    from onnx import TensorProto, helper

    places = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
    if operator == "LSTM":
        places += ["initial_c", "P"]
    node = helper.make_node(
        operator, [name if name in feeds else "" for name in places], outputs, **attributes
    )
    types = {"sequence_lens": TensorProto.INT32}
    inputs = [
        helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), a.shape)
        for name, a in feeds.items()
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    model = helper.make_model(
        helper.make_graph([node], operator, inputs, results),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return model.SerializeToString()
