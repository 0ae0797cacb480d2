"""A cell as a Numba type, so that a driver is one cached module-level function for all cells.

The type's name holds the fingerprint of all source, which makes it part of every cache key.
"""

from numba.core import types
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox

from rnnbench.cpu.jit import fingerprint
from rnnbench.spec import Cell

KNOWN: dict[str, Cell] = {}


class CellType(types.Opaque):
    """The type of one cell; ``cell`` is the Cell itself, looked up by name (types get pickled)."""

    def __init__(self, cell_name: str):
        self.cell_name = cell_name
        super().__init__(f"Cell({cell_name}, {fingerprint()})")

    @property
    def cell(self) -> Cell:
        return KNOWN[self.cell_name]


register_model(CellType)(models.OpaqueModel)


@typeof_impl.register(Cell)
def _typeof(cell, context):
    KNOWN[cell.name] = cell
    return CellType(cell.name)


@unbox(CellType)
def _unbox(kind, value, c):
    return NativeValue(c.context.get_dummy_value())
