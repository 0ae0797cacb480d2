"""A cell as a Numba type, so that a kernel is one cached module-level function for all cells.

The type's name holds a hash of the cell's maths and of all source, so both are part of every cache
key: two cells of one name are two types. A cell has no value at run time.
"""

from numba.core import types
from numba.extending import models, register_model

from rnnbench.cpu.jit import fingerprint
from rnnbench.cpu.native import Kind, numbers
from rnnbench.spec import Cell

KNOWN: dict[tuple[str, str], Cell] = {}


class CellType(Kind):
    """The type of one cell on numbers of one dtype; ``cell`` is the Cell itself, looked up (types
    get pickled)."""

    def __init__(self, name: str, contents: str, element: types.Type):
        self.identity = (name, contents)
        super().__init__(f"Cell({name}, {contents}, {element}, {fingerprint()})", element)

    @property
    def cell(self) -> Cell:
        return KNOWN[self.identity]


register_model(CellType)(models.OpaqueModel)


def cell_type(cell: Cell, dtype) -> CellType:
    """The type of a cell; it is known from now on."""
    KNOWN.setdefault((cell.name, cell.contents), cell)
    return CellType(cell.name, cell.contents, numbers(dtype).element)
