"""Parameters: initialisation for training, and asymmetric random cases for checking."""

from dataclasses import dataclass

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import check_count, check_dtype
from rnnbench.spec import BIAS, MATRIX, UNIT, Cell


@dataclass(frozen=True)
class Case:
    """A whole problem: everything ``forward`` and ``backward`` take."""

    cell: str | Cell
    params: dict[str, np.ndarray]
    x: np.ndarray
    state: dict[str, np.ndarray]
    lengths: np.ndarray | None
    dy: np.ndarray
    dstate: dict[str, np.ndarray]

    def forward_arguments(self) -> tuple:
        return self.cell, self.params, self.x, self.state, self.lengths


def init_params(
    cell: str | Cell, input_size: int, hidden_size: int, dtype=np.float64, seed: int = 0
) -> dict[str, np.ndarray]:
    """Glorot-uniform input matrices, orthogonal recurrent ones (per gate), zero biases and units.

    Glorot & Bengio 2010, eq. 16; Saxe et al. 2013 (arXiv:1312.6120). Draws depend on the seed and
    the parameter's place alone.
    """
    spec = get_cell(cell).spec
    check_count("input_size", input_size)
    check_count("hidden_size", hidden_size)
    dtype, sizes = check_dtype(dtype), spec.sizes(input_size, hidden_size)
    result = {}
    for index, p in enumerate(spec.parameters):
        rng = np.random.default_rng([check_count("seed", seed, 0), index])
        shape = p.shape(sizes)
        if p.kind != MATRIX:
            result[p.name] = np.zeros(shape, dtype)
            continue
        rows, columns = sizes[p.width], shape[1]
        blocks = []
        for _ in p.gates:
            if p.columns == p.width:
                q, r = np.linalg.qr(rng.standard_normal((rows, rows)))
                blocks.append(q * np.sign(np.diag(r)))
            else:
                limit = np.sqrt(6.0 / (rows + columns))
                blocks.append(rng.uniform(-limit, limit, (rows, columns)))
        result[p.name] = np.concatenate(blocks).astype(dtype)
    return result


def random_params(spec, sizes, rng, dtype) -> dict[str, np.ndarray]:
    """Distinct, unsaturated: matrices of variance ≈ 1/columns, biases and units of ± 0.5."""
    result = {}
    for p in spec.parameters:
        shape = p.shape(sizes)
        scale = {MATRIX: 1.0 / np.sqrt(shape[-1]) if shape else 1.0, BIAS: 0.5, UNIT: 0.5}
        draw = rng.uniform(-1.0, 1.0, shape) * scale.get(p.kind, 0.5) * 1.3
        result[p.name] = np.asarray(draw, dtype)
    return result


def random_case(
    cell: str | Cell,
    T: int = 5,
    B: int = 3,
    I: int = 4,
    H: int = 7,
    dtype=np.float64,
    seed: int = 0,
    ragged: bool = True,
    **widths: int,
) -> Case:
    """Random distinct weights, nonzero states, biases and upstream gradients, at odd sizes.

    Ragged lengths always include 1 and T where B ≥ 2. widths: those of the spec beside I and H.
    """
    spec, dtype = get_cell(cell).spec, check_dtype(dtype)
    for name, n in (("T", T), ("B", B), ("I", I), ("H", H)):
        check_count(name, n)
    rng = np.random.default_rng(seed)
    sizes = spec.sizes(I, H, **widths)
    states = spec.state_shapes(B, H, I, **widths)
    lengths = None
    if ragged:
        lengths = rng.integers(1, T + 1, B)
        lengths[: min(2, B)] = np.array([T, 1])[: min(2, B)]

    def draw(shape):
        return rng.uniform(-1.0, 1.0, shape).astype(dtype)

    return Case(
        cell,
        random_params(spec, sizes, rng, dtype),
        draw((T, B, I)),
        {name: draw(shape) for name, shape in states.items()},
        lengths,
        draw((T, B, sizes[spec.state(spec.output).width])),
        {name: draw(shape) for name, shape in states.items()},
    )
