"""What has a step of its own: a cell, and a feed-forward stack applied to each step by itself."""

from . import checks
from .activations import ACTIVATIONS, activation
from .cells import get_cell
from .functions import zeros_like_type
from .layers import Fit, add, join, split


class ByStep:
    """`run` and `run_backward` from
    step(params, x, state, inputs)           -> (y, new state, cache)
    step_backward(params, cache, dy, dstate) -> (dparams, dx, gradient of the state before)
    with dstate the gradient at the state after the step."""

    by_step = True

    def run(self, params, xs, state, inputs):
        ys, caches = [], []
        for t, x in enumerate(xs):
            now = {name: values[t] for name, values in inputs.items()}
            y, state, cache = self.step(params, x, state, now)
            ys.append(y)
            caches.append(cache)
        return ys, state, caches

    def run_backward(self, params, caches, dys, dstate):
        dparams, dxs = {}, []
        for cache, dy in zip(reversed(caches), reversed(dys), strict=True):
            more, dx, dstate = self.step_backward(params, cache, dy, dstate)
            dparams = add(dparams, more)
            dxs.append(dx)
        return dparams, dxs[::-1], dstate


class Recurrent(ByStep):
    """A cell of `cells`, with its own names."""

    def __init__(self, cell, hidden_size, options=None, widths=None):
        self.cell = get_cell(cell, **(options or {}))
        self.sizes = {"H": hidden_size} | dict(widths or {})

    def fit(self, params, I, like):
        x = zeros_like_type((1, 1, I), like)
        _, sizes = checks.parameters(self.cell, params, x)
        for letter, size in self.sizes.items():
            if sizes.get(letter, size) != size:
                raise ValueError(
                    f"params: {letter} is {sizes[letter]} by their shapes, {size} in the network"
                )
        inputs = {
            name: ((sizes[letter],) if letter else (), True)
            for name, letter in self.cell.inputs.items()
        }
        states = {name: sizes[letter] for name, letter in self.cell.states.items()}
        return Fit(states[self.cell.output], states, inputs)

    def step(self, params, x, state, inputs):
        new, cache = self.cell.step(params, x, state, **inputs)
        return new[self.cell.output], new, cache

    def step_backward(self, params, cache, dy, dstate):
        dnew = dict(dstate)
        dnew[self.cell.output] = dnew[self.cell.output] + dy  # y is that state
        return self.cell.step_backward(params, cache, dnew)


class FeedForward(ByStep):
    """a_l = W_l v_{l-1} + b_l, v_l = activation_l(a_l), v_0 = x: parameters "0.W" (size, width
    below), "0.b" (size,), "1.W", ..; no states."""

    def __init__(self, sizes, activation):
        if len(sizes) != len(activation) or not sizes:
            raise ValueError(f"FeedForward: {len(sizes)} sizes, {len(activation)} activations")
        self.sizes = list(sizes)
        self.activations = [named(name) for name in activation]
        self.heads = [str(l) for l in range(len(sizes))]

    def fit(self, params, I, like):
        layers, width = split("params", params, self.heads), I
        for head, size in zip(self.heads, self.sizes, strict=True):
            checks.mapping("params", layers[head], ("W", "b"))
            for name, shape in (("W", (size, width)), ("b", (size,))):
                if name not in layers[head]:
                    raise ValueError(f"params: '{head}.{name}' is missing")
                checks.array_like(f"{head}.{name}", layers[head][name], shape, like)
            width = size
        return Fit(width, {}, {})

    def step(self, params, x, state, inputs):
        values, arguments = [x], []
        for head, function in zip(self.heads, self.activations, strict=True):
            a = values[-1] @ params[f"{head}.W"].T + params[f"{head}.b"]
            arguments.append(a)
            values.append(function.value(a))
        return values[-1], {}, (values, arguments)

    def step_backward(self, params, cache, dy, dstate):
        values, arguments = cache
        dparams, d = {}, dy
        for l in reversed(range(len(self.heads))):
            da = d * self.activations[l].slope(arguments[l])
            dparams[self.heads[l]] = {"W": da.T @ values[l], "b": da.sum(axis=0)}
            d = da @ params[f"{self.heads[l]}.W"]
        return join(dparams), d, {}


def named(name: str):
    """An activation by name; "identity" is its argument."""
    checks.one_of("activation", name, ("identity", *ACTIVATIONS))
    return activation("affine(1,0)" if name == "identity" else name)
