"""The only registry of cells: name -> definition. It finds every file of ``rnnbench/equations``."""

import functools
import importlib
import pkgutil
from dataclasses import replace

from rnnbench import equations
from rnnbench.errors import InputError, shown, unknown
from rnnbench.options import Definition, full_name, split_name
from rnnbench.spec import Cell


@functools.cache
def registry() -> dict[str, Definition]:
    """All cells, families in alphabetical order, cells in their file's order."""
    found = {}
    for info in sorted(pkgutil.iter_modules(equations.__path__), key=lambda m: m.name):
        module = importlib.import_module(f"{equations.__name__}.{info.name}")
        for entry in getattr(module, "CELLS", ()):
            if isinstance(entry, Cell):
                entry = Definition(entry.name, lambda cell=entry: cell)
            if entry.name in found:
                raise ValueError(f"two cells named {entry.name}")
            found[entry.name] = entry
    return found


def cell_names() -> list[str]:
    return list(registry())


def get_definition(name: str) -> Definition:
    """A cell's definition by its name without options. InputError if there is none."""
    if not isinstance(name, str) or name not in registry():
        raise unknown("cell", name, registry())
    return registry()[name]


def get_cell(cell: str | Cell, **options) -> Cell:
    """The cell of that name with those options (a Cell is returned as it is).

    ``get_cell("name", option=value)`` and ``get_cell("name[option=value]")`` are the same object.
    InputError for an unknown cell or option, a value that is not allowed, or a combination that
    makes no sense.
    """
    if isinstance(cell, Cell):
        if options:
            raise InputError(f"{cell.name} is built; give its name to choose options")
        return cell
    if isinstance(cell, str) and not options:
        return _named(cell)
    return _chosen(cell, options)


@functools.lru_cache(maxsize=1024)
def _named(cell: str) -> Cell:
    return _chosen(cell, {})


def _chosen(cell: object, options: dict) -> Cell:
    try:
        name, given = split_name(cell) if isinstance(cell, str) else (cell, {})
    except ValueError as error:
        raise InputError(f"cell {shown(cell)}: {error}") from None
    definition = get_definition(name)
    twice = given.keys() & options.keys()
    if twice:
        both = ", ".join(sorted(twice))
        raise InputError(f"cell {shown(cell)} sets {both} and so does an argument; give it once")
    return _built(name, tuple(read_options(definition, given | options).items()))


def read_options(definition: Definition, given: dict) -> dict[str, object]:
    """The options that differ from their defaults, canonical, in the definition's order."""
    allowed = {option.name: option for option in definition.options}
    for name in given:
        if name not in allowed:
            if not allowed:
                raise InputError(f"cell {definition.name} has no options; {shown(name)} was given")
            raise unknown(f"option of {definition.name}", name, allowed)
    values = {}
    for name, option in allowed.items():
        if name in given:
            try:
                value = option.read(given[name])
            except ValueError as error:
                what = f"option {name} of {definition.name} is {shown(given[name])}"
                raise InputError(f"{what}; {error}") from None
            if value != option.default:
                values[name] = value
    return values


@functools.cache
def _built(name: str, values: tuple[tuple[str, object], ...]) -> Cell:
    definition, chosen = get_definition(name), dict(values)
    defaults = {option.name: option.default for option in definition.options}
    try:
        cell = definition.build(**(defaults | chosen))
    except ValueError as error:
        raise InputError(f"cell {full_name(name, chosen)}: {error}") from None
    return replace(cell, label=full_name(name, chosen), options=chosen)
