"""Compile an equation for a target: the function, and the helpers it calls by name."""

import types
from collections.abc import Callable, Mapping


def bind(function: Callable, compiled: Callable, known: Mapping[Callable, object]) -> object:
    """``compiled(function)``, with the plain functions it names compiled first.

    known: function -> what the target puts in its place (the stubs of
    ``equations/functions.py``). A copy is compiled; the original still runs as Python.
    """
    names = dict(function.__globals__)
    for name in function.__code__.co_names:
        called = names.get(name)
        if isinstance(called, types.FunctionType):
            names[name] = known[called] if called in known else bind(called, compiled, known)
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    return compiled(copy)
