"""JAX: any cell's own equations in ``jax.lax.scan``, compiled whole by ``jax.jit``.

``jax_scan.py`` has the step; gradients are ``jax.vjp``'s. Laying out the weights, compiling for the
shape and the transforms of trained matrices come before, untimed. The number of threads is in the
environment that ``process.py`` sets, read when JAX starts.
"""

import functools

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.peers.workload import TRAIN, Workload
from rnnbench.target import transformed


def version() -> str:
    import jax

    return jax.__version__


def offers(cell: str, direction: str) -> bool:
    return True


def prepare(workload: Workload, threads: int):
    import jax

    from rnnbench.peers.jax_scan import pack, scan

    case, cell = workload.case(), get_cell(workload.cell)
    # where there is a GPU, arrays put elsewhere would be computed there
    put = functools.partial(jax.device_put, device=jax.devices("cpu")[0])
    used = put(transformed(cell, np.float32, "apply", case.params))
    weights, unpack = jax.vjp(functools.partial(pack, cell.spec), used)
    data = weights, put(case.x), put(case.state), put(case.inputs)
    forward = scan(cell, case.sizes)

    def train(weights, x, state, inputs, dy):
        def differentiated(weights, x, state):
            return forward(weights, x, state, inputs)

        y, pull, final = jax.vjp(differentiated, weights, x, state, has_aux=True)
        return y, final, pull(dy)

    if workload.direction == TRAIN:
        data = *data, put(case.dy)
    function = train if workload.direction == TRAIN else forward
    compiled = jax.jit(function).lower(*jax.block_until_ready(data)).compile()

    def arrays(result):
        y, final, *gradients = result
        found = {"y": y} | {f"final.{name}": a for name, a in final.items()}
        for dweights, dx, dstate in gradients:  # one, or none
            dused = {name: np.asarray(d) for name, d in unpack(dweights)[0].items()}
            dparams = transformed(cell, np.float32, "adjoint", dused)
            found |= {f"d{name}": d for name, d in dparams.items()} | {"dx": dx}
            found |= {f"d{name}0": d for name, d in dstate.items()}
        return {name: np.asarray(a) for name, a in found.items()}

    return lambda: jax.block_until_ready(compiled(*data)), arrays
