"""Implementations timed side by side, ours among them; each runs in a process of its own.

A peer is a module that imports its framework inside its functions only, with

    version() -> str                     ImportError where the framework is missing
    offers(cell, direction) -> bool      without importing the framework
    prepare(workload, threads) -> (run, arrays)

``run()`` is what is timed; ``arrays(run())`` gives the arrays of ``workload.expected`` by name.
"""

import importlib
from collections.abc import Callable
from types import ModuleType

from rnnbench.errors import MissingDependency, unknown

OURS = "rnnbench"
# name -> module
PEERS = {
    OURS: "rnnbench.peers.ours",
    "torch": "rnnbench.peers.torch",
    "onnxruntime": "rnnbench.peers.onnxruntime",
    "openvino": "rnnbench.peers.openvino",
    "jax": "rnnbench.peers.jax",
}
# These run any cell. The others are libraries of layers: `compare` is about cells that they have,
# unless it is told which.
ANY_CELL = (OURS, "jax")


def load_peer(name: str) -> ModuleType:
    """The module of a peer; InputError for an unknown name."""
    if name not in PEERS:
        raise unknown("peer", name, PEERS)
    return importlib.import_module(PEERS[name])


def is_own(offered: Callable, cell: str) -> bool:
    """Is the cell what a framework's layer is for? ``offered`` is an adapter's: it also has cells
    that are a larger layer with some weights given, which would be an unfair race."""
    try:
        layer = offered(cell)
    except NotImplementedError:
        return False
    return layer.plain and layer.recurrent == "R"


def choose_peers(asked=()) -> dict[str, str]:
    """Ours, then the peers asked for (all that are installed if none): name -> version.

    InputError for an unknown name, MissingDependency for one that was asked for and is missing.
    """
    versions = {OURS: load_peer(OURS).version()}
    for name in dict.fromkeys(asked or PEERS):
        peer = load_peer(name)
        try:
            versions[name] = peer.version()
        except Exception as error:  # a broken library can raise anything, an OSError say
            if asked:
                raise MissingDependency(
                    f"{name} can't be imported ({' '.join(str(error).split())}); "
                    f"pip install 'rnnbench[{name}]'"
                ) from error
    return versions
