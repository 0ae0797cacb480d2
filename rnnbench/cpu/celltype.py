"""A cell as a Numba type, so that a driver is one cached module-level function for all cells.

The type's name holds a hash of the cell's maths and of all source, so both are part of every cache
key: two cells of one name are two types.
"""

from numba.core import types
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox

from rnnbench.cpu.jit import fingerprint
from rnnbench.spec import Cell

KNOWN: dict[tuple[str, str], Cell] = {}


class CellType(types.Opaque):
    """The type of one cell; ``cell`` is the Cell itself, looked up (types get pickled)."""

    def __init__(self, cell_name: str, contents: str):
        self.identity = (cell_name, contents)
        super().__init__(f"Cell({cell_name}, {contents}, {fingerprint()})")

    @property
    def cell(self) -> Cell:
        return KNOWN[self.identity]


register_model(CellType)(models.OpaqueModel)


@typeof_impl.register(Cell)
def _typeof(cell, context):
    KNOWN.setdefault((cell.name, cell.contents), cell)
    return CellType(cell.name, cell.contents)


@unbox(CellType)
def _unbox(kind, value, c):
    return NativeValue(c.context.get_dummy_value())
