"""What a decoder starts from: which of its states is which final state of the encoder.

A bridge maps a decoder's state to the names of encoder states that stand side by side in it.
"""

from collections.abc import Mapping

import numpy as np

from rnnbench.errors import InputError, shown, unknown
from rnnbench.layers.layer import Array, Arrays

Bridge = dict[str, tuple[str, ...]]


def resolve(
    bridge: Mapping | None, encoder: Mapping[str, Array], decoder: Mapping[str, Array]
) -> Bridge:
    """The bridge between these states (B,width); None: equal names and widths.

    InputError, with both lists, where names or widths do not fit.
    """
    both = f"the encoder has {shown_states(encoder)}, the decoder {shown_states(decoder)}"
    if bridge is None:
        if {n: a.shape for n, a in encoder.items()} != {n: a.shape for n, a in decoder.items()}:
            raise InputError(f"states do not match: {both}; a bridge says what starts from what")
        return {name: (name,) for name in decoder}
    found = {}
    for name, given in bridge.items():
        sources = (given,) if isinstance(given, str) else given
        if not isinstance(sources, tuple | list) or not sources:
            raise InputError(f"bridge maps {name} to {shown(given)}; needs a name or several")
        if name not in decoder:
            raise unknown("decoder state in bridge", name, decoder or ["none"])
        for one in sources:
            if not isinstance(one, str) or one not in encoder:
                raise unknown("encoder state in bridge", one, encoder or ["none"])
        width = sum(encoder[one].shape[1] for one in sources)
        if width != decoder[name].shape[1]:
            raise InputError(f"bridge gives the decoder's {name} a width of {width}; {both}")
        found[name] = tuple(sources)
    return found


def cross(bridge: Bridge, final: Arrays) -> Arrays:
    """The decoder's bridged states, from the encoder's final ones."""
    return {
        name: np.concatenate([final[one] for one in sources], axis=1)
        for name, sources in bridge.items()
    }


def cross_backward(bridge: Bridge, final: Arrays, dstart: Arrays) -> Arrays:
    """The gradient at the encoder's final states; what starts nothing gets zeros."""
    dfinal = {name: np.zeros_like(value) for name, value in final.items()}
    for name, sources in bridge.items():
        first = 0
        for one in sources:
            width = final[one].shape[1]
            dfinal[one] += dstart[name][:, first : first + width]
            first += width
    return dfinal


def shown_states(states: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} ({array.shape[1]})" for name, array in states.items()) or "none"
