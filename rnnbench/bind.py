"""Compile an equation for a target: the function, and the helpers it calls by name."""

import dis
import types
from collections.abc import Callable, Mapping


def bind(function: Callable, compiled: Callable, known: Mapping[Callable, object]) -> object:
    """``compiled(function)``, with the plain functions it names compiled first.

    known: function -> what the target puts in its place (the stubs of
    ``equations/functions.py``). A copy is compiled; the original still runs as Python.
    """

    def replaced(value):
        if not isinstance(value, types.FunctionType):
            return value
        return known[value] if value in known else bind(value, compiled, known)

    names = dict(function.__globals__)
    for instruction in dis.get_instructions(function):
        name = instruction.argval
        if instruction.opname == "LOAD_GLOBAL" and name in names:
            names[name] = replaced(names[name])
    closure = tuple(types.CellType(replaced(c.cell_contents)) for c in function.__closure__ or ())
    return compiled(
        types.FunctionType(
            function.__code__, names, function.__name__, function.__defaults__, closure
        )
    )
