"""Layers on top of each other.

At a step t, from the lowest layer up:
  v_0 = x_t
  u_l = layer_l(v_l),  plus v_l where layer l is residual        Wu et al. 2016, eq. 6
  v_{l+1} = m_l u_l with masks, else u_l                         Zaremba et al. 2014, section 3.2
  y_t = u_L of the last layer
"""

from . import checks
from .layers import Fit, add, build, join, split
from .steps import ByStep


class Stack(ByStep):
    """Time outside, layers inside, where every layer has steps; else one layer after the other."""

    def __init__(self, layers, residual, masks):
        checks.one_of("masks", masks, ("none", "step", "sequence"))
        if not layers or len(residual) != len(layers):
            raise ValueError(f"Stack: {len(layers)} layers, {len(residual)} flags of residual")
        self.layers = [build(layer) for layer in layers]
        self.residual = list(residual)
        self.masks = masks
        self.heads = [str(l) for l in range(len(layers))]
        self.by_step = all(layer.by_step for layer in self.layers)

    def fit(self, params, I, like):
        params = split("params", params, self.heads)
        states, inputs, masks, width = {}, {}, {}, I
        for l, (head, layer) in enumerate(zip(self.heads, self.layers, strict=True)):
            found = layer.fit(params[head], width, like)
            if self.residual[l] and found.output != width:
                raise ValueError(f"layer {l}: residual, from width {width} to {found.output}")
            states[head], inputs[head], width = found.states, found.inputs, found.output
            if self.masks != "none" and l + 1 < len(self.layers):
                masks[head] = (width,), self.masks == "step"
        return Fit(width, join(states), join(inputs) | join({"mask": masks}))

    def parts(self, params, state, inputs):
        """Of every layer: (its number, layer, params, state, inputs), and the masks by number."""
        params, state = split("params", params, self.heads), split("state", state, self.heads)
        inputs = split("inputs", inputs, [*self.heads, "mask"])
        each = [
            (l, layer, params[head], state[head], inputs[head])
            for l, (head, layer) in enumerate(zip(self.heads, self.layers, strict=True))
        ]
        return each, inputs["mask"]

    # -- time outside --------------------------------------------------------------------------

    def step(self, params, x, state, inputs):
        each, masks = self.parts(params, state, inputs)
        new, caches = {}, []
        for l, layer, *given in each:
            u, new[str(l)], cache = layer.step(given[0], x, *given[1:])
            if self.residual[l]:
                u = u + x
            mask = masks.get(str(l))
            x = u if mask is None else mask * u
            caches.append((cache, mask))
        return x, join(new), caches

    def step_backward(self, params, caches, dy, dstate):
        each, _ = self.parts(params, dstate, {})
        dparams, previous, d = {}, {}, dy
        for l, layer, its_params, its_dstate, _ in reversed(each):
            cache, mask = caches[l]
            du = d if mask is None else d * mask
            more, d, previous[str(l)] = layer.step_backward(its_params, cache, du, its_dstate)
            if self.residual[l]:
                d = d + du
            dparams = add(dparams, join({str(l): more}))
        return dparams, d, join(previous)

    # -- one layer after the other -------------------------------------------------------------

    def run(self, params, xs, state, inputs):
        if self.by_step:
            return super().run(params, xs, state, inputs)
        each, masks = self.parts(params, state, inputs)
        final, tapes = {}, []
        for l, layer, its_params, its_state, its_inputs in each:
            us, final[str(l)], tape = layer.run(its_params, xs, its_state, its_inputs)
            if self.residual[l]:
                us = [u + x for u, x in zip(us, xs, strict=True)]
            mask = masks.get(str(l))
            xs = us if mask is None else [m * u for m, u in zip(mask, us, strict=True)]
            tapes.append((tape, mask))
        return xs, join(final), tapes

    def run_backward(self, params, tapes, dys, dstate):
        if self.by_step:
            return super().run_backward(params, tapes, dys, dstate)
        each, _ = self.parts(params, dstate, {})
        dparams, initial, ds = {}, {}, dys
        for l, layer, its_params, its_dstate, _ in reversed(each):
            tape, mask = tapes[l]
            dus = ds if mask is None else [d * m for d, m in zip(ds, mask, strict=True)]
            more, ds, initial[str(l)] = layer.run_backward(its_params, tape, dus, its_dstate)
            if self.residual[l]:
                ds = [d + du for d, du in zip(ds, dus, strict=True)]
            dparams = add(dparams, join({str(l): more}))
        return dparams, ds, join(initial)
