"""Other implementations behind one protocol (``rnnbench.conformance.protocol``).

A module here adapts one framework, which it imports inside its functions only: ``run`` is the
protocol's function, ``DTYPES`` what it computes in (the first unless asked otherwise),
``version()`` the framework's version.
"""

import importlib
import pkgutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnbench.cells import get_cell
from rnnbench.checks import DTYPES
from rnnbench.conformance.protocol import array_shapes, check_result
from rnnbench.errors import InputError, MissingDependency, unknown
from rnnbench.params import Case

USER = "package.module:function"


@dataclass(frozen=True)
class Adapter:
    """An implementation to validate, computing in ``dtype``."""

    name: str
    version: str
    dtype: np.dtype
    function: Callable

    def run(self, case: Case) -> dict[str, np.ndarray]:
        """The implementation's arrays, checked. NotImplementedError: it does not offer this case.

        It gets copies in its dtype, so that one that writes to its inputs spoils nothing.
        Anything else that it raises becomes an InputError that says where.
        """
        spec = get_cell(case.cell).spec
        shapes = array_shapes(spec, *case.x.shape, case.dy.shape[2])

        def own(arrays):
            return {name: a.astype(self.dtype) for name, a in arrays.items()}

        try:
            result = self.function(
                spec.name,
                own(case.params),
                case.x.astype(self.dtype),
                own(case.state),
                case.lengths.copy(),
                case.dy.astype(self.dtype),
                own(case.dstate),
            )
        except NotImplementedError:
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            reason = " ".join(str(error).split())
            raise InputError(
                f"{self.name} raised {type(error).__name__} on {spec.name}: {reason} "
                f"({frame.filename}:{frame.lineno})"
            ) from error
        return check_result(f"{self.name} ({spec.name})", result, shapes)


def adapter_names() -> list[str]:
    """The frameworks that have an adapter."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "user")


def load_adapter(name: str, dtype: str | None = None) -> Adapter:
    """The adapter of a framework, or of a user's ``package.module:function``.

    InputError: no such adapter, no such function, a dtype it does not compute in;
    MissingDependency: the framework is not installed.
    """
    if ":" in name:
        from rnnbench.conformance.adapters.user import load_function

        return Adapter(name, "", np.dtype(_choose(name, DTYPES[::-1], dtype)), load_function(name))
    if name not in adapter_names():
        raise unknown("adapter", name, [*adapter_names(), USER])
    module = importlib.import_module(f"{__name__}.{name}")
    try:
        version = module.version()
    except ImportError as error:
        raise MissingDependency(
            f"{name} can't be imported ({error}); pip install 'rnnbench[{name}]'"
        ) from error
    return Adapter(name, version, np.dtype(_choose(name, module.DTYPES, dtype)), module.run)


def _choose(name, offered, asked):
    if asked is not None and asked not in offered:
        raise unknown(f"dtype of {name}", asked, offered)
    return asked or offered[0]
