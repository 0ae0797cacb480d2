"""PyTorch's nn.RNN, nn.GRU and nn.LSTM.

LSTM gates i f g o, GRU gates r z n (reset after the product), two biases, packed sequences for
ragged lengths; gradients by autograd. It returns y and the final states; there is no access to
the cell state's history. Packed sequences refuse length 0.
"""

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.layout import reorder, two_biases

DTYPES = ("float64", "float32")
# cell -> class of torch.nn, its options, its gate order
CELLS = {
    "elman_tanh": ("RNN", {"nonlinearity": "tanh"}, ("a",)),
    "elman_relu": ("RNN", {"nonlinearity": "relu"}, ("a",)),
    "gru": ("GRU", {}, ("r", "z", "n")),
    "lstm": ("LSTM", {}, ("i", "f", "g", "o")),
}


def version() -> str:
    import torch

    return torch.__version__


def run(cell, params, x, state, lengths, dy, dstate):
    """The protocol's function."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    if cell not in CELLS:
        raise NotImplementedError("torch.nn has no such cell")
    if lengths.min() < 1:
        raise NotImplementedError("packed sequences refuse length 0")
    spec, (kind, options, order) = get_cell(cell).spec, CELLS[cell]
    T, _, input_size = x.shape
    dtype = getattr(torch, x.dtype.name)
    layer = getattr(torch.nn, kind)(input_size, dy.shape[2], dtype=dtype, **options)
    bias_ih, bias_hh = two_biases(spec, params)
    weights = {
        "weight_ih_l0": params["W"],
        "weight_hh_l0": params["R"],
        "bias_ih_l0": bias_ih,
        "bias_hh_l0": bias_hh,
    }
    with torch.no_grad():
        for name, value in weights.items():
            getattr(layer, name).copy_(torch.from_numpy(reorder(value, spec.gates, order)))

    inputs = torch.from_numpy(x).requires_grad_()
    initial = {name: torch.from_numpy(a).requires_grad_() for name, a in state.items()}
    first = tuple(initial[name][None] for name in spec.state_names)
    sequence = inputs
    if lengths.min() < T:
        sequence = pack_padded_sequence(inputs, torch.from_numpy(lengths), enforce_sorted=False)
    y, final = layer(sequence, first if len(first) > 1 else first[0])
    if lengths.min() < T:
        y, _ = pad_packed_sequence(y, total_length=T)
    finals = dict(zip(spec.state_names, final if len(first) > 1 else (final,), strict=True))
    loss = (y * torch.from_numpy(dy)).sum()
    for name, value in finals.items():
        loss = loss + (value[0] * torch.from_numpy(dstate[name])).sum()
    loss.backward()

    def gradient(name):
        return reorder(getattr(layer, name).grad.numpy(), order, spec.gates)

    result = {"y": y.detach().numpy(), "dx": inputs.grad.numpy()}
    result |= {"dW": gradient("weight_ih_l0"), "dR": gradient("weight_hh_l0")}
    result["db"] = gradient("bias_ih_l0")
    for p in spec.parameters:
        if p.name not in ("W", "R", "b"):  # a bias of its own inside the recurrent product
            blocks = np.split(gradient("bias_hh_l0"), len(spec.gates))
            result[f"d{p.name}"] = blocks[spec.gates.index(p.gates[0])]
    for name in spec.state_names:
        result[f"final.{name}"] = finals[name][0].detach().numpy()
        result[f"d{name}0"] = initial[name].grad.numpy()
    return result
