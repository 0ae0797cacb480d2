"""The pre-activations that most cells share: a = x Wᵀ + h Rᵀ + b, gates stacked along the rows."""


def affine_shapes(gates: int, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
    rows = gates * hidden_size
    return {"W": (rows, input_size), "R": (rows, hidden_size), "b": (rows,)}


def affine(params, x, h):
    """x (B,I), h (B,H) -> a (B, gates * H)."""
    return x @ params["W"].T + h @ params["R"].T + params["b"]


def affine_backward(params, x, h, da):
    """da (B, gates * H) -> (dict of dW, dR, db), dx (B,I), dh (B,H)."""
    dparams = {"W": da.T @ x, "R": da.T @ h, "b": da.sum(axis=0)}
    return dparams, da @ params["W"], da @ params["R"]
