"""Layers as plain data and back: what a file holds, and what the reference builds its own from.

    {"kind": "Stack", "residual": [false, true], "masks": "none", "layers": [
        {"kind": "Recurrent", "cell": "gru", "options": {}, "hidden_size": 5, "widths": {}},
        {"kind": "FeedForward", "sizes": [5], "activation": ["tanh"]}]}

kind is the layer's class, the rest are its ``settings``: numbers, texts, None, lists, mappings and
layers. JSON keeps all of it.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from rnnbench import layers
from rnnbench.errors import InputError, shown, unknown
from rnnbench.layers.layer import Layer, check_layer


def to_data(layer: Layer) -> dict:
    """The layer as nested dicts and lists. InputError for a layer of no kind known here, and for a
    cell that its name and options do not tell."""
    check_layer("layer", layer)
    kind = type(layer).__name__
    if kinds().get(kind) is not type(layer):
        raise unknown("kind of layer", kind, kinds())
    return {"kind": kind} | {name: plain(value) for name, value in layer.settings().items()}


def layer_from(data: Mapping) -> Layer:
    """The layer that ``to_data`` described. InputError for an unknown kind, for settings that are
    missing or unknown, and for whatever the layer refuses."""
    if not isinstance(data, Mapping):
        raise InputError(f"a layer is given as {shown(data)}; needs a mapping with its kind")
    settings = dict(data)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds():
        raise unknown("kind of layer", kind, kinds())
    settings = {name: built(value) for name, value in settings.items()}
    try:
        return kinds()[kind].from_settings(**settings)
    except TypeError as error:
        raise InputError(f"a {kind} is not made of {', '.join(settings) or 'nothing'}") from error


def kinds() -> dict[str, type[Layer]]:
    """Every class of layer in this package, by name."""
    found = {}
    for info in pkgutil.iter_modules(layers.__path__):
        module = importlib.import_module(f"{layers.__name__}.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Layer) and value is not Layer:
                found[name] = value
    return found


def plain(value):
    """A setting as data."""
    if isinstance(value, Layer):
        return to_data(value)
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise InputError(f"a layer's setting is {shown(value)}; data holds no such thing")


def built(value):
    """A setting from data."""
    if isinstance(value, Mapping) and "kind" in value:
        return layer_from(value)
    if isinstance(value, list | tuple):
        return [built(inner) for inner in value]
    return value
