"""Encoder–decoders and feedback networks as plain data and back; their layers as in ``describe``.

    {"network": "EncoderDecoder",
     "encoder": {"kind": "Recurrent", …}, "decoder": {"kind": "Stack", …},
     "bridge": {"0.h": ["forward.h", "backward.h"]},
     "attention": {"decoding": "Luong", "size": 5, "attention": {"score": "Dot"}}}
    {"network": "Feedback", "layer": {"kind": "Recurrent", …}, "input_size": 3, "project": null}

JSON keeps all of it.
"""

import dataclasses
from collections.abc import Mapping

from rnnbench.errors import InputError, shown, unknown
from rnnbench.layers.attention import Additive, Attention, Dot, General
from rnnbench.layers.decoding import Bahdanau, InputFeeding, Luong, Unattended
from rnnbench.layers.describe import layer_from, to_data
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.feedback import Feedback
from rnnbench.layers.layer import Layer

# what names the class in the data -> the classes
CLASSES = {
    "score": (Additive, Dot, General),
    "decoding": (Bahdanau, Luong, InputFeeding),
    "network": (EncoderDecoder, Feedback),
}


def network_data(network: EncoderDecoder | Feedback) -> dict:
    """The network as nested dicts and lists. InputError for what is none."""
    return described("network", network)


def network_from(data: Mapping) -> EncoderDecoder | Feedback:
    """The network that ``network_data`` described. InputError for data that describe none."""
    return constructed("network", data)


def attention_data(attention: Attention) -> dict:
    """A kind of score as a dict."""
    return described("score", attention)


def attention_from(data: Mapping) -> Attention:
    """The inverse of ``attention_data``."""
    return constructed("score", data)


def described(key: str, value) -> dict:
    names = [one.__name__ for one in CLASSES[key]]
    if type(value) not in CLASSES[key]:
        raise unknown(key, type(value).__name__, names)
    fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return {key: type(value).__name__} | fields


def plain(value):
    """A field as data."""
    if isinstance(value, Layer):
        return to_data(value)
    if isinstance(value, Attention):
        return described("score", value)
    if isinstance(value, Unattended):
        return described("decoding", value)
    if isinstance(value, Mapping):
        return {name: one if isinstance(one, str) else list(one) for name, one in value.items()}
    return value


def constructed(key: str, data):
    if not isinstance(data, Mapping):
        raise InputError(f"a {key} is given as {shown(data)}; needs a mapping that names it")
    fields = dict(data)
    name, classes = fields.pop(key, None), {one.__name__: one for one in CLASSES[key]}
    if not isinstance(name, str) or name not in classes:
        raise unknown(key, name, classes)
    fields = {name: built(value) for name, value in fields.items()}
    try:
        return classes[name](**fields)
    except TypeError as error:
        given = ", ".join(map(shown, fields)) or "nothing"
        raise InputError(f"a {name} is not made of {given}") from error


def built(value):
    """A field from data."""
    if not isinstance(value, Mapping):
        return value
    for key in CLASSES:
        if key in value:
            return constructed(key, value)
    return layer_from(value) if "kind" in value else value
