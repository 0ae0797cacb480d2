"""A user's own recurrent networks, right and with one mistake each; imported as users do it.

Written apart from rnnbench: one sequence of the batch at a time, one step at a time.
`good` is right; every other function makes the mistake it is named for.
"""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(
    cell, params, x, state, lengths, *, reset="", output_peephole="", order="", pads="zero"
):
    """y, histories and final states. order: how the stacked gates are (mis)read."""
    T, B, _ = x.shape
    H = params["R"].shape[1]
    y = np.zeros((T, B, H), x.dtype)
    states = {k: np.zeros((T + 1, B, H), x.dtype) for k in state}
    for row in range(B):
        now = {k: v[row] for k, v in state.items()}
        for k, v in now.items():
            states[k][0, row] = v
        for t in range(T):
            if t < lengths[row]:
                now = step(cell, params, x[t, row], now, reset, output_peephole, order)
                y[t, row] = now["h"]
            elif pads == "repeat":
                y[t, row] = now["h"]
            for k, v in now.items():
                states[k][t + 1, row] = v
    result = {"y": y}
    for k, v in states.items():
        result |= {f"states.{k}": v, f"final.{k}": v[-1]}
    return result


def step(cell, p, x, state, reset, output_peephole, order):
    h = state["h"]
    wx, rh = p["W"] @ x + p["b"], p["R"] @ h
    if cell.startswith("elman"):
        a = wx + rh
        return {"h": np.tanh(a) if cell == "elman_tanh" else np.where(a > 0, a, 0)}
    order = order or {"gru": "rzn", "gru_reset_before": "rzn", "gru_simplified": "zn"}.get(
        cell, "ifgo"
    )
    wx = dict(zip(order, np.split(wx, len(order)), strict=True))
    rh = dict(zip(order, np.split(rh, len(order)), strict=True))
    if cell.startswith("gru"):
        z = sigmoid(wx["z"] + rh["z"])
        r = sigmoid(wx["r"] + rh["r"]) if "r" in wx else 1
        b_Rn = p.get("b_Rn", 0)
        if (reset or cell) == "gru_reset_before":
            candidate = np.split(p["R"], len(order))[order.index("n")] @ (r * h) + b_Rn
        else:
            candidate = r * (rh["n"] + b_Rn)
        return {"h": (1 - z) * np.tanh(wx["n"] + candidate) + z * h}
    c = state["c"]
    p_i, p_f, p_o = p.get("p", np.zeros((3, 1), x.dtype))
    i, f = sigmoid(wx["i"] + rh["i"] + p_i * c), sigmoid(wx["f"] + rh["f"] + p_f * c)
    new = f * c + i * np.tanh(wx["g"] + rh["g"])
    seen = c if (output_peephole or cell) == "lstm_peephole_previous" else new
    return {"h": sigmoid(wx["o"] + rh["o"] + p_o * seen) * np.tanh(new), "c": new}


def good(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths)


def only_y(cell, params, x, state, lengths, dy, dstate):
    return {"y": forward(cell, params, x, state, lengths)["y"]}


# mistakes in the forward pass


def reads_iofg(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths, order="iofg")


def reads_zrn(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths, order="zrn")


def reads_nz(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths, order="nz")


def transposes_r(cell, params, x, state, lengths, dy, dstate):
    gates = len(params["R"]) // params["R"].shape[1]
    blocks = np.split(params["R"], gates)
    return forward(cell, params | {"R": np.concatenate([b.T for b in blocks])}, x, state, lengths)


def drops_b(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params | {"b": 0 * params["b"]}, x, state, lengths)


def drops_forget_bias(cell, params, x, state, lengths, dy, dstate):
    H = params["R"].shape[1]
    b = params["b"].copy()
    b[H : 2 * H] = 0
    return forward(cell, params | {"b": b}, x, state, lengths)


def drops_b_rn(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params | {"b_Rn": 0 * params["b_Rn"]}, x, state, lengths)


def merges_b_rn(cell, params, x, state, lengths, dy, dstate):
    H = params["R"].shape[1]
    b = params["b"].copy()
    b[2 * H :] += params["b_Rn"]
    return forward(cell, params | {"b": b, "b_Rn": 0 * params["b_Rn"]}, x, state, lengths)


def starts_at_zero(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, {k: 0 * v for k, v in state.items()}, lengths)


def forgets_c0(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state | {"c": 0 * state["c"]}, lengths)


def ignores_lengths(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, np.full_like(lengths, len(x)))


def repeats_past_end(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths, pads="repeat")


def resets_before(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths, reset="gru_reset_before")


def resets_after(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths, reset="gru")


def peeks_at_old_c(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params, x, state, lengths, output_peephole="lstm_peephole_previous")


def peepholes_iof(cell, params, x, state, lengths, dy, dstate):
    return forward(cell, params | {"p": params["p"][[0, 2, 1]]}, x, state, lengths)


def final_at_last_step(cell, params, x, state, lengths, dy, dstate):
    result = forward(cell, params, x, state, lengths)
    return {"y": result["y"], "final.h": result["y"][-1]}


def nan_in_one_place(cell, params, x, state, lengths, dy, dstate):
    result = forward(cell, params, x, state, lengths)
    result["y"][2, 2, 1] = np.nan
    return result


# gradients; the right ones are the reference's


def with_gradients(cell, params, x, state, lengths, dy, dstate):
    import rnnbench_reference as reference

    run = reference.forward(cell, params, x, state, lengths)
    back = reference.backward(run.tape, dy, dstate)
    return (
        {"y": run.y, "dx": back.x}
        | {f"states.{k}": v for k, v in run.states.items()}
        | {f"d{k}": v for k, v in back.params.items()}
        | {f"d{k}0": v for k, v in back.state.items()}
    )


def gradient_off_by_a_thousandth(*arguments):
    result = with_gradients(*arguments)
    H = result["dR"].shape[1]
    result["dR"][H : 2 * H] *= 1.001
    return result


def gradient_gates_swapped(*arguments):
    result = with_gradients(*arguments)
    H = result["dR"].shape[1]
    result["db"][: 2 * H] = np.roll(result["db"][: 2 * H], H)
    return result


def gradient_ignores_final_state(cell, params, x, state, lengths, dy, dstate):
    return with_gradients(cell, params, x, state, lengths, dy, None)


def gradient_of_padding(cell, params, x, state, lengths, dy, dstate):
    result = with_gradients(cell, params, x, state, lengths, dy, dstate)
    past = np.arange(len(x))[:, None] >= lengths
    result["dx"][past] = x[past]
    return result


def gradient_of_one_state_missing(*arguments):
    result = with_gradients(*arguments)
    result["dh0"] = 0 * result["dh0"]
    return result


# results that are not as the protocol asks


def returns_a_list(*arguments):
    return [good(*arguments)["y"]]


def returns_nothing(*arguments):
    return None


def returns_no_y(*arguments):
    return {"final.h": good(*arguments)["final.h"]}


def returns_another_name(*arguments):
    return good(*arguments) | {"hidden": 1.0}


def returns_batch_major(*arguments):
    return {"y": good(*arguments)["y"].transpose(1, 0, 2)}


def returns_float16(*arguments):
    return {"y": good(*arguments)["y"].astype(np.float16)}


def returns_objects(*arguments):
    return {"y": good(*arguments)["y"].astype(object)}


def returns_ragged_lists(*arguments):
    return {"y": [[1.0], [1.0, 2.0]]}


def raises(*arguments):
    raise ZeroDivisionError("no\nsuch number")


def too_few_arguments(cell, params):
    return {}


def offers_nothing(*arguments):
    raise NotImplementedError("not today")


def writes_to_its_inputs(cell, params, x, state, lengths, dy, dstate):
    result = good(cell, params, x, state, lengths, dy, dstate)
    for array in (x, dy, lengths, *params.values(), *state.values(), *dstate.values()):
        array[...] = 0
    return result


def in_float32(cell, params, x, state, lengths, dy, dstate):
    params = {k: v.astype(np.float32) for k, v in params.items()}
    state = {k: v.astype(np.float32) for k, v in state.items()}
    return forward(cell, params, x.astype(np.float32), state, lengths)


def in_float32_unsaid(*arguments):
    return {k: v.astype(np.float64) for k, v in in_float32(*arguments).items()}


not_a_function = 3
