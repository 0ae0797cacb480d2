"""A user's own implementation, named ``package.module:function``."""

import importlib
import os
import sys
from collections.abc import Callable

from rnnbench.conformance.protocol import one_line
from rnnbench.errors import InputError


def load_function(name: str) -> Callable:
    """Import the function; modules beside the caller (its working directory) are found first.

    InputError where the module can't be imported or has no such function.
    """
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        raise InputError(f"{name!r} names no function; needs package.module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the module does when it is imported
        raise InputError(f"can't import {module_name} ({one_line(error)})") from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise InputError(f"module {module_name} has no {attribute!r}") from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a __getattr__ of its own
            reason = one_line(error)
            raise InputError(f"can't get {attribute!r} of {module_name} ({reason})") from error
    if not callable(found):
        raise InputError(f"{name} is a {type(found).__name__}; needs a function")
    return found
