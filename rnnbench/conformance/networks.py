"""Golden cases of networks and of gradient algorithms: their inputs, and what runs them.

A case is a network as plain data, a gradient algorithm as plain data, and arrays by name:

    param.…, x, state.…, input.…, lengths, dy, dstate.…     inputs; an encoder–decoder has also
    source, source_lengths
    y, final.…, d<parameter>, dx, dstate.…                   results; dstate.… is the gradient of an
    dsource, weights                                         initial state

The loss is sum(y·dy) + sum(final state · dstate).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from rnnbench.conformance.cases import draw
from rnnbench.errors import InputError, shown, unknown
from rnnbench.gradients.checkpointing import optimal_checkpointing, revolve, sqrt_checkpointing
from rnnbench.gradients.runner import run
from rnnbench.gradients.schedule import Schedule, chunked, full
from rnnbench.gradients.truncation import truncated
from rnnbench.layers.describe import layer_from, to_data
from rnnbench.layers.encoder_decoder import EncoderDecoder
from rnnbench.layers.layer import Array, Arrays, Layer, part
from rnnbench.layers.networks import network_data, network_from
from rnnbench.target import reference_cell
from rnnbench_reference import encoder_decoder as reference_pairs
from rnnbench_reference import layers as reference_layers
from rnnbench_reference.truncation import truncated as reference_truncated

# name -> schedule of T steps, from the algorithm's numbers. All but the first two are exact.
SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "truncated": lambda T, k1, k2: truncated(T, k1, k2),
    "chunked": lambda T, k: chunked(T, k),
    "full": lambda T: full(T),
    "sqrt checkpointing": lambda T, length: sqrt_checkpointing(T, length),
    "optimal checkpointing": lambda T, stored: optimal_checkpointing(T, stored),
    "revolve": lambda T, stored: revolve(T, stored),
}
FULL = {"name": "full"}


@dataclass(frozen=True)
class NetworkProblem:
    """sizes: T, B, I, and of an encoder–decoder S and J, the source's steps and width. ends:
    lengths, source_lengths."""

    name: str
    network: Layer | EncoderDecoder
    sizes: Mapping[str, int]
    ends: Mapping[str, tuple[int, ...]]
    algorithm: Mapping = field(default_factory=lambda: FULL)

    def __post_init__(self):
        if self.is_pair and self.algorithm != FULL:
            given = shown(self.algorithm)
            raise InputError(f"algorithm is {given}; an encoder–decoder's gradient is full")

    @property
    def is_pair(self) -> bool:
        return isinstance(self.network, EncoderDecoder)

    @property
    def data(self) -> dict:
        return (network_data if self.is_pair else to_data)(self.network)

    def schedule(self) -> Schedule:
        numbers = dict(self.algorithm)
        name = numbers.pop("name", None)
        if not isinstance(name, str) or name not in SCHEDULES:
            raise unknown("gradient algorithm", name, SCHEDULES)
        return SCHEDULES[name](self.sizes["T"], **numbers)


def problem_from(name: str, data, sizes, ends, algorithm) -> NetworkProblem:
    """The problem that a file's metadata describe; InputError where they describe none."""
    if not isinstance(algorithm, Mapping):
        raise InputError(f"algorithm is {shown(algorithm)}; needs a mapping with its name")
    network = network_from(data) if "network" in data else layer_from(data)
    return NetworkProblem(name, network, sizes, ends, algorithm)


def wanted(problem: NetworkProblem) -> dict[str, Array]:
    """Every input array but the lengths, by name."""
    p, net = problem, problem.network
    T, B, I = (p.sizes[letter] for letter in "TBI")
    arrays = {"x": Array((T, B, I))}
    if p.is_pair:
        S, J = p.sizes["S"], p.sizes["J"]
        arrays["source"] = Array((S, B, J))
        params, states = net.parameters(J, I), net.states(B, J, I)
        inputs, width = net.inputs(S, T, B, J, I), net.output_size(J, I)
        final = {f"decoder.{n}": a for n, a in net.decoder_states(B, J, I).items()}
    else:
        params, states = net.parameters(I), net.states(B, I)
        inputs, width, final = net.inputs(T, B, I), net.output_size(I), states
    arrays |= {f"param.{n}": a for n, a in params.items()}
    arrays |= {f"state.{n}": a for n, a in states.items()}
    arrays |= {f"input.{n}": a for n, a in inputs.items()}
    arrays["dy"] = Array((T, B, width))
    return arrays | {f"dstate.{n}": Array(a.shape) for n, a in final.items()}


def expected_shapes(problem: NetworkProblem) -> dict[str, tuple[int, ...]]:
    """Every result, by name."""
    given = {name: array.shape for name, array in wanted(problem).items()}
    found = {"y": given["dy"]}
    found |= {f"final.{n}": shape for n, shape in part(given, "dstate").items()}
    found |= {f"d{n}": shape for n, shape in part(given, "param").items()}
    found |= {"dx": given["x"]} | {f"dstate.{n}": s for n, s in part(given, "state").items()}
    if problem.is_pair:
        found["dsource"] = given["source"]
        if problem.network.attention is not None:
            T, B, S = (problem.sizes[letter] for letter in "TBS")
            found["weights"] = (T, B, S)
    return found


def drawn(problem: NetworkProblem) -> Arrays:
    """The inputs of a case: the same on every machine, and exact in float32."""
    arrays = {}
    for name, array in wanted(problem).items():
        values = draw(f"network/{problem.name}/{name}", array.shape, array.scale)
        values = np.asarray(array.centre + values)
        arrays[name] = values if array.draw is None else array.draw(values)
    return arrays


def lengths_of(problem: NetworkProblem) -> dict[str, np.ndarray]:
    return {name: np.array(ends, np.int64) for name, ends in problem.ends.items()}


# -- what runs a case ----------------------------------------------------------------------------


def named(y, final, gradients, **more) -> Arrays:
    found = {"y": y} | {f"final.{n}": v for n, v in final.items()}
    found |= {f"d{n}": v for n, v in gradients.params.items()} | {"dx": gradients.x}
    return found | {f"dstate.{n}": v for n, v in gradients.state.items()} | more


def run_reference(problem: NetworkProblem, arrays: Arrays) -> Arrays:
    """The results by the reference, in the arrays' own number type."""
    groups = [part(arrays, kind) for kind in ("param", "state", "input", "dstate")]
    (params, state, inputs, dstate), lengths = groups, lengths_of(problem)
    x, dy = arrays["x"], arrays["dy"]
    if problem.is_pair:
        return pair_by_reference(problem, arrays)
    steps = reference_layers.forward(problem.data, params, x, state, lengths["lengths"], inputs)
    if problem.algorithm["name"] in ("truncated", "chunked"):
        k1, k2 = (problem.algorithm.get(k, problem.algorithm.get("k")) for k in ("k1", "k2"))
        cell = reference_cell(problem.network.cell)
        rest = (state, lengths["lengths"], dstate, inputs)
        gradients = reference_truncated(cell, params, x, dy, k1, k2, *rest)
    else:
        gradients = reference_layers.backward(steps.tape, dy, dstate)
    return named(steps.y, steps.state, gradients)


def pair_by_reference(problem: NetworkProblem, arrays: Arrays) -> Arrays:
    net, lengths = problem.network, lengths_of(problem)
    attention, score = None, "additive"
    if net.attention is not None:
        attention = type(net.attention).__name__.lower().replace("inputfeeding", "feeding")
        score = type(net.attention.attention).__name__.lower()
    cells = [reference_cell(layer.cell) for layer in (net.encoder, net.decoder)]
    bridge = net.bridge
    if bridge is not None:
        bridge = {n: (one,) if isinstance(one, str) else tuple(one) for n, one in bridge.items()}
    found = reference_pairs.forward(
        *cells,
        part(arrays, "param"),
        arrays["source"],
        arrays["x"],
        state=part(arrays, "state"),
        bridge=bridge,
        attention=attention,
        score=score,
        inputs=part(arrays, "input"),
        **lengths,
    )
    back = reference_pairs.backward(
        found.tape, arrays["dy"], part(part(arrays, "dstate"), "decoder")
    )
    final = {f"decoder.{name}": value for name, value in found.state.items()}
    more = {"dsource": back.source} | ({"weights": found.weights} if attention else {})
    return named(found.y, final, back, **more)


def run_target(problem: NetworkProblem, arrays: Arrays, target) -> Arrays:
    """The results on a target (``rnnbench.target``), by the layers and the schedules."""
    groups = [part(arrays, kind) for kind in ("param", "state", "input", "dstate")]
    (params, state, inputs, dstate), ends = groups, lengths_of(problem)
    net, x, dy = problem.network, arrays["x"], arrays["dy"]
    if problem.is_pair:
        more = {"state": state, "inputs": inputs}
        found = net.forward(target, params, arrays["source"], x, **ends, **more)
        back = net.backward(found.tape, dy, dstate)
        more = {"dsource": back.source}
        if found.weights is not None:
            more["weights"] = found.weights
        return named(found.y, found.state, back, **more)
    if problem.algorithm == FULL:
        found = net.forward(target, params, x, state, ends["lengths"], inputs)
        return named(found.y, found.state, net.backward(found.tape, dy, dstate))
    found = run(
        problem.schedule(), target, net, params, x, dy, state, ends["lengths"], dstate, inputs
    )
    return named(found.y, found.final, found)
