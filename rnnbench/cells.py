"""The only registry of cells: name -> Cell. It finds every file of ``rnnbench/equations``."""

import functools
import importlib
import pkgutil

from rnnbench import equations
from rnnbench.errors import unknown
from rnnbench.spec import Cell


@functools.cache
def registry() -> dict[str, Cell]:
    """All cells, families in alphabetical order, cells in their file's order."""
    found = {}
    for info in sorted(pkgutil.iter_modules(equations.__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{equations.__name__}.{info.name}")
        for cell in getattr(module, "CELLS", ()):
            if cell.name in found:
                raise ValueError(f"two cells named {cell.name}")
            found[cell.name] = cell
    return found


def cell_names() -> list[str]:
    return list(registry())


def get_cell(cell: str | Cell) -> Cell:
    """The cell of that name (a Cell is returned as it is). InputError if there is none."""
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str) or cell not in registry():
        raise unknown("cell", cell, registry())
    return registry()[cell]
