"""The tables and the summary: what they say, and that they fit 80 columns."""

import io

import pytest
from rich.console import Console

from rnnbench.peers import OURS
from rnnbench.peers.rounds import Result, Timing
from rnnbench.peers.show import show_group, show_summary
from rnnbench.peers.workload import FORWARD, TRAIN, Workload
from rnnbench.shapes import get_shape


def result(cell, shape, direction=FORWARD, memory=0, **seconds):
    timings = {
        name: Timing(seconds=[s * 0.98765, s, s * 1.1], memory={"memory": memory} if memory else {})
        for name, s in seconds.items()
    }
    return Result(Workload(cell, get_shape(shape), direction), timings, sgemm=412.3)


def printed(show, *arguments):
    file = io.StringIO()
    show(Console(file=file, width=80), *arguments)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return lines


@pytest.mark.parametrize("batch", [1, 128])
def test_wide_figures_fit(batch):
    """The longest names, minutes, gigabytes, far from one another."""
    shape = f"T1500B{batch}H4096"
    many = {OURS: 99.999, "onnxruntime": 0.0123456, "torch": 12.3456}
    lines = printed(
        show_group, "lstm, forward", [result("lstm", shape, memory=12_345_678_901, **many)]
    )
    text = "\n".join(lines)
    assert "…" not in text
    for figure in (shape, "onnxruntime", "99999", "98764–109999", "12346", "12.2–13.6"):
        assert figure in text
    assert ("66666" in text) == (batch == 1)  # microseconds a step: 99.999 s / 1500


def test_columns_are_there_where_they_mean_something():
    one, many = (result("gru", f"T10B{B}H64", **{OURS: 1e-3, "torch": 2e-3}) for B in (1, 8))
    assert "µs per" not in "".join(printed(show_group, "gru, forward", [many]))
    lines = printed(show_group, "gru, forward", [one, many])
    assert "µs per" in "".join(lines) and "MB" not in "".join(lines)
    ours, torch, _, ours_many, *_ = [line.split() for line in lines if "0." in line or "." in line]
    assert "100" in ours and "200" in torch
    assert "100" not in ours_many
    one.timings[OURS].memory = {"memory": 1_500_000}
    lines = printed(show_group, "gru, forward", [one, many])
    assert any("MB" in line for line in lines) and any(" 1.5 " in line for line in lines)


def test_summary():
    results = [
        result("gru", "T10B8H64", **{OURS: 1.0, "torch": 2.0}),
        result("lstm", "T10B8H64", **{OURS: 1.0, "torch": 8.0}),
        result("lstm", "T10B1H64", **{OURS: 2.0, "torch": 9.0, "jax": 1.0}),
        result("gru", "T10B8H64", TRAIN, **{OURS: 3.0, "jax": 3.0}),
    ]
    text = " ".join(" ".join(printed(show_summary, {"sgemm_source": "NumPy"}, results)).split())
    assert text == (
        "forward: rnnbench is 2.00× as fast as the fastest peer (geometric mean of 3); at least as"
        " fast at 2 of 3; worst 0.50×, at lstm T10B1H64 (jax)"
        " gru: 2.00×; at least as fast at 1 of 1; worst 2.00×, at T10B8H64 (torch)"
        " lstm: 2.00×; at least as fast at 1 of 2; worst 0.50×, at T10B1H64 (jax)"
        " train: rnnbench is 1.00× as fast as the fastest peer (geometric mean of 1); at least as"
        " fast at 1 of 1; worst 1.00×, at T10B8H64 (jax)"
        " SGEMM (NumPy): 412 to 412 GF/s"
    )
