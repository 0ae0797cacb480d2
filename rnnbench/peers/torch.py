"""PyTorch's nn.RNN, nn.GRU and nn.LSTM: inference mode, or forward and autograd's gradients."""

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.conformance.adapters.torch import CELLS, version  # noqa: F401 - a peer's version()
from rnnbench.conformance.layout import reorder, two_biases
from rnnbench.peers.workload import TRAIN, Workload

WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


def offers(cell: str, direction: str) -> bool:
    return cell in CELLS


def prepare(workload: Workload, threads: int):
    import torch

    torch.set_num_threads(threads)
    case, spec = workload.case(), get_cell(workload.cell).spec
    kind, options, order = CELLS[workload.cell]
    training = workload.direction == TRAIN
    layer = getattr(torch.nn, kind)(workload.shape.I, workload.shape.H, **options)
    values = (case.params["W"], case.params["R"], *two_biases(spec, case.params))
    with torch.no_grad():
        for name, value in zip(WEIGHTS, values, strict=True):
            getattr(layer, name).copy_(torch.from_numpy(reorder(value, spec.gates, order)))
    x = torch.from_numpy(case.x).requires_grad_(training)
    state = [
        torch.from_numpy(case.state[n])[None].requires_grad_(training) for n in spec.state_names
    ]
    first = tuple(state) if len(state) > 1 else state[0]
    dy = torch.from_numpy(case.dy)
    inputs = [*(getattr(layer, name) for name in WEIGHTS), x, *state]

    @torch.inference_mode()
    def forward():
        return layer(x, first), ()

    def train():
        result = layer(x, first)
        return result, torch.autograd.grad(result[0], inputs, dy)

    def arrays(result):
        (y, final), gradients = result
        final = final if len(state) > 1 else (final,)
        found = {"y": y.detach().numpy()}
        for name, value in zip(spec.state_names, final, strict=True):
            found[f"final.{name}"] = value[0].detach().numpy()
        if not gradients:
            return found
        gradients = [g.numpy() for g in gradients]
        dW, dR, db, dbr = (reorder(g, order, spec.gates) for g in gradients[:4])
        found |= {"dW": dW, "dR": dR, "db": db, "dx": gradients[4]}
        for p in spec.parameters:
            if p.name not in ("W", "R", "b"):  # a bias of its own inside the recurrent product
                found[f"d{p.name}"] = np.split(dbr, len(spec.gates))[spec.gates.index(p.gates[0])]
        for name, g in zip(spec.state_names, gradients[5:], strict=True):
            found[f"d{name}0"] = g[0]
        return found

    return (train if training else forward), arrays
