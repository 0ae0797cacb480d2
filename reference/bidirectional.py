"""A sequence read in both directions: Schuster & Paliwal 1997, IEEE Trans. Signal Process. 45.

  f_1, .., f_n   the forward layer on x_1, .., x_n
  b_n, .., b_1   the backward layer on x_n, .., x_1
  y_t            (f_t, b_t), f_t + b_t, (f_t + b_t) / 2 or f_t b_t

The backward layer's initial state is before x_n, its final state after x_1.
"""

import numpy as np

from . import checks
from .layers import Fit, add, build, join, split

DIRECTIONS = ("forward", "backward")


class Bidirectional:
    by_step = False

    def __init__(self, forward, backward, merge):
        checks.one_of("merge", merge, ("concat", "sum", "mean", "product"))
        self.layers = {"forward": build(forward), "backward": build(backward)}
        self.merge = merge

    def fit(self, params, I, like):
        params = split("params", params, DIRECTIONS)
        found = {name: layer.fit(params[name], I, like) for name, layer in self.layers.items()}
        widths = [one.output for one in found.values()]
        if self.merge != "concat" and widths[0] != widths[1]:
            raise ValueError(f"merge {self.merge}: widths {widths}, expected equal ones")
        return Fit(
            sum(widths) if self.merge == "concat" else widths[0],
            join({name: one.states for name, one in found.items()}),
            join({name: one.inputs for name, one in found.items()}),
        )

    def run(self, params, xs, state, inputs):
        params, state = (split("arrays", given, DIRECTIONS) for given in (params, state))
        inputs = split("inputs", inputs, DIRECTIONS)
        read = {"forward": xs, "backward": xs[::-1]}
        inputs["backward"] = {name: v[::-1] for name, v in inputs["backward"].items()}
        outputs, final, tapes = {}, {}, {}
        for name, layer in self.layers.items():
            outputs[name], final[name], tapes[name] = layer.run(
                params[name], read[name], state[name], inputs[name]
            )
        n = len(xs)
        pairs = [(outputs["forward"][t], outputs["backward"][n - 1 - t]) for t in range(n)]
        return [self.merged(f, b) for f, b in pairs], join(final), (tapes, pairs)

    def run_backward(self, params, tape, dys, dstate):
        tapes, pairs = tape
        params, dstate = (split("arrays", given, DIRECTIONS) for given in (params, dstate))
        df, db = [], []
        for dy, (f, b) in zip(dys, pairs, strict=True):
            df_t, db_t = self.merged_backward(dy, f, b)
            df.append(df_t)
            db.append(db_t)
        more_f, dx_f, first_f = self.layers["forward"].run_backward(
            params["forward"], tapes["forward"], df, dstate["forward"]
        )
        more_b, dx_b, first_b = self.layers["backward"].run_backward(
            params["backward"], tapes["backward"], db[::-1], dstate["backward"]
        )
        dxs = [f + b for f, b in zip(dx_f, dx_b[::-1], strict=True)]
        dparams = add(join({"forward": more_f}), join({"backward": more_b}))
        return dparams, dxs, join({"forward": first_f, "backward": first_b})

    def merged(self, f, b):
        if self.merge == "concat":
            return np.concatenate([f, b], axis=1)
        if self.merge == "sum":
            return f + b
        if self.merge == "mean":
            return (f + b) / 2
        return f * b

    def merged_backward(self, dy, f, b):
        """The gradients at f and at b."""
        if self.merge == "concat":
            return dy[:, : f.shape[1]], dy[:, f.shape[1] :]
        if self.merge == "sum":
            return dy, dy
        if self.merge == "mean":
            return dy / 2, dy / 2
        return dy * b, dy * f
