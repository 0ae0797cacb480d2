"""The edge: everything a user hands in is checked here, once, before any kernel runs.

Inside, code trusts its inputs: C-contiguous arrays of one dtype, lengths as int64.
"""

import functools
from collections.abc import Mapping

import numpy as np

from rnnbench.errors import InputError, shown, unknown
from rnnbench.spec import BIAS, MATRIX, SCALAR, UNIT, Cell

DTYPES = ("float32", "float64")
NUMBERS = tuple(map(np.dtype, DTYPES))


def check_dtype(dtype, allowed=DTYPES) -> np.dtype:
    """The dtype by name or object. InputError unless it is one of ``allowed``, native."""
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in allowed or not found.isnative:
        raise unknown(
            "dtype",
            dtype if found is None else found.str if not found.isnative else found.name,
            allowed,
        )
    return found


def as_array(name: str, value) -> np.ndarray:
    """Any array-like as an array; InputError for a ragged nesting or a masked array."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{name} is a masked array; give a plain array and lengths")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is no array: its parts differ in shape") from error


def check_array(
    name: str, value, ndim: int | None = None, dtype=None, by_rows: bool = False
) -> np.ndarray:
    """A C-contiguous float array, or an InputError that names it. Never copies needlessly.

    by_rows: it is enough that the numbers of its last axis lie side by side.
    """
    array = as_array(name, value)
    if array.dtype not in NUMBERS:  # a foreign byte order is not in it either
        raise InputError(f"{name} has dtype {array.dtype}; allowed: {', '.join(DTYPES)}")
    if dtype is not None and array.dtype != dtype:
        raise InputError(f"{name} has dtype {array.dtype}, the parameters have {dtype}; give one")
    if ndim is not None and array.ndim != ndim:
        raise InputError(f"{name} has {array.ndim} dimensions {array.shape}; needs {ndim}")
    if by_rows and array.ndim and array.strides[-1] == array.itemsize:
        return array
    # ascontiguousarray would turn a 0-d scalar into a vector
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def check_count(name: str, value, least: int = 1) -> int:
    """A whole number ≥ least."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} is {shown(value)}; needs a whole number of at least {least}")
    return int(value)


@functools.lru_cache(maxsize=64)
def full_lengths(T: int, B: int) -> np.ndarray:
    """The lengths of sequences that all have T steps; not to be written to."""
    lengths = np.full(B, T, np.int64)
    lengths.flags.writeable = False
    return lengths


def check_lengths(lengths, T: int, B: int) -> np.ndarray:
    """(B,) int64 with 0 ≤ length ≤ T; None means all T."""
    if lengths is None:
        return full_lengths(T, B)
    array = as_array("lengths", lengths)
    if array.dtype.kind not in "iu":
        raise InputError(f"lengths have dtype {array.dtype}; need integers")
    if array.shape != (B,):
        raise InputError(f"lengths have shape {array.shape}; need one a sequence, ({B},)")
    if array.min() < 0 or array.max() > T:
        bad = array[(array < 0) | (array > T)][0]
        raise InputError(f"a length is {bad}; allowed: 0 to T={T}")
    return np.array(array, np.int64)


def check_sizes(cell: Cell, input_size, hidden_size, **widths) -> dict[str, int]:
    """Letter -> size, of a cell whose arrays are to be made; a width not given is half of H.

    InputError for a size below 1, a letter that the cell has not, and where it needs equal ones.
    """
    sizes = {"I": check_count("input_size", input_size)}
    sizes["H"] = check_count("hidden_size", hidden_size)
    for letter, size in widths.items():
        if letter not in cell.spec.widths:
            if not cell.spec.widths:
                raise InputError(f"cell {cell.name} has no width beside I and H; {letter!r} given")
            raise unknown(f"width of {cell.name}", letter, cell.spec.widths)
        check_count(f"width {letter}", size)
    sizes = cell.spec.sizes(input_size, hidden_size, **widths)
    for letter in cell.spec.equal_widths:
        if sizes[letter] != sizes["I"]:
            raise InputError(
                f"cell {cell.name} adds x itself and needs {letter} = I; "
                f"given I={sizes['I']}, {letter}={sizes[letter]}"
            )
    return sizes


def infer_sizes(cell: Cell, params: Mapping, input_size: int | None) -> dict[str, int]:
    """Widths from the parameters' shapes; InputError where names or shapes disagree.

    input_size: that of x; None where there is none yet.
    """
    if not isinstance(params, Mapping):
        raise InputError(f"params is a {type(params).__name__}; needs a mapping name -> array")
    names = cell.spec.parameter_names
    for name in params:
        if name not in names:
            raise unknown(f"parameter of {cell.name}", name, names)
    for name in names:
        if name not in params:
            raise InputError(
                f"parameter {name!r} of {cell.name} is missing; needs {', '.join(names)}"
            )
    shapes = tuple([as_array(f"parameter {name}", params[name]).shape for name in names])
    return dict(sizes_of_shapes(cell, shapes, input_size))


@functools.lru_cache(maxsize=256)
def sizes_of_shapes(cell: Cell, shapes: tuple, input_size: int | None) -> dict[str, int]:
    """Widths from the shapes of a cell's parameters, in its order."""
    spec, sizes = cell.spec, {} if input_size is None else {"I": input_size}
    for p, shape in zip(spec.parameters, shapes, strict=True):
        if len(shape) != {MATRIX: 2, BIAS: 1, UNIT: 2, SCALAR: 0}[p.kind]:
            raise InputError(f"parameter {p.name} has shape {shape}; a {p.kind} is expected")
        if p.kind != SCALAR:
            units = shape[1] if p.kind == UNIT else shape[0] // len(p.gates)
            if units < 1:
                raise InputError(f"parameter {p.name} has shape {shape}; H must be at least 1")
            sizes.setdefault(p.width, units)
        if p.kind == MATRIX:
            sizes.setdefault(p.columns, shape[1])
    for letter in spec.equal_widths:
        if sizes[letter] != sizes.setdefault("I", sizes[letter]):
            raise InputError(
                f"cell {cell.name} adds x itself and needs {letter} = I; x has I={sizes['I']}, "
                f"the parameters have {letter}={sizes[letter]}"
            )
    for p, shape in zip(spec.parameters, shapes, strict=True):
        expected = p.shape(sizes)
        if shape != expected:
            raise InputError(
                f"parameter {p.name} has shape {shape}; needs {expected} "
                f"for {', '.join(f'{k}={v}' for k, v in sizes.items())}"
            )
    return sizes


def check_states(
    kind: str, cell: Cell, given, batch: int, sizes, dtype, copies: bool = True
) -> dict[str, np.ndarray]:
    """Every state's (B, width) array; missing ones are zeros."""
    spec = cell.spec
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise InputError(f"{kind} is a {type(given).__name__}; needs a mapping state name -> array")
    for name in given:
        if name not in spec.state_names:
            raise unknown(f"{kind} of {cell.name}", name, spec.state_names)
    result = {}
    for state in spec.states:
        shape = (batch, sizes[state.width])
        if given.get(state.name) is None:
            result[state.name] = np.zeros(shape, dtype)
            continue
        array = check_array(f"{kind} {state.name}", given[state.name], 2, dtype)
        if array.shape != shape:
            raise InputError(f"{kind} {state.name} has shape {array.shape}; needs {shape}")
        result[state.name] = array.copy() if copies else array
    return result


def check_inputs(
    cell: Cell, given, T: int, B: int, sizes, dtype, copies: bool = True
) -> dict[str, np.ndarray]:
    """Every per-step input's array; a missing one takes its default, where it has one."""
    spec = cell.spec
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise InputError(f"inputs is a {type(given).__name__}; needs a mapping name -> array")
    names = [i.name for i in spec.inputs]
    for name in given:
        if not names:
            raise InputError(f"cell {cell.name} takes no inputs beside x; {shown(name)} was given")
        if name not in names:
            raise unknown(f"input of {cell.name}", name, names)
    result = {}
    for one in spec.inputs:
        shape = one.shape(T, B, sizes)
        if given.get(one.name) is None:
            if one.default is None:
                raise InputError(
                    f"input {one.name!r} of {cell.name} is missing; needs an array of shape {shape}"
                )
            result[one.name] = one.made(0, T, B, sizes, dtype)
            continue
        array = check_array(f"input {one.name}", given[one.name], len(shape), dtype)
        if array.shape != shape:
            raise InputError(f"input {one.name} has shape {array.shape}; needs {shape}")
        result[one.name] = array.copy() if copies else array
    return result
