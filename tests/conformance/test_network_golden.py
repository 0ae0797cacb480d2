"""The golden cases of networks and gradient algorithms: proved, stable, read strictly, and met."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from rnnbench import InputError, get_target
from rnnbench.conformance import networks
from rnnbench.conformance.case_file import KEY
from rnnbench.conformance.golden import NETWORKS, packaged, read_index, read_networks
from rnnbench.conformance.network_golden import decode, encode, solve
from rnnbench.conformance.network_problems import problems
from rnnbench.conformance.networks import run_target
from rnnbench.conformance.tolerance import tolerance

GOLDENS = {golden.problem: golden for golden in read_networks(packaged())}
PROBLEMS = {problem.name: problem for problem in problems()}


def sizes(golden):
    """Two layers, or an encoder and a decoder: at most twice T steps of at most 9 inputs."""
    T, B = golden.network.sizes["T"], golden.network.sizes["B"]
    return {"T": 2 * T, "I": 9, "H": 5, "B": B}


def disagreeing(golden, target, dtype=np.float64) -> list[str]:
    arrays = {name: a.astype(dtype) for name, a in golden.arrays.items()}
    got = run_target(golden.network, arrays, target)
    assert got.keys() == golden.expected.keys()
    return [
        name
        for name, want in golden.expected.items()
        if not np.abs(got[name] - want).max() <= tolerance(dtype, sizes(golden), want)
    ]


def test_the_set_is_the_list():
    assert list(GOLDENS) == list(PROBLEMS)


@pytest.mark.parametrize("name", PROBLEMS)
def test_proving_again_gives_the_same_bytes(name):
    entry = next(e for e in read_index(packaged(), NETWORKS) if e.case == name)
    assert encode(solve(PROBLEMS[name])) == (packaged() / entry.file).read_bytes()


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("target", "dtype"),
    [("reference", np.float64), ("plain", np.float64), ("cpu", np.float64), ("cpu", np.float32)],
)
def test_targets_meet_them(name, target, dtype):
    assert not disagreeing(GOLDENS[name], get_target(target), dtype)


def test_truncation_is_no_full_gradient():
    """The exact algorithms' results are the full gradient; the truncated ones' are not."""
    for name, golden in GOLDENS.items():
        if golden.network.is_pair or golden.network.algorithm["name"] == "full":
            continue
        whole = replace(golden, network=replace(golden.network, algorithm={"name": "full"}))
        wrong = disagreeing(whole, get_target("plain"))
        assert bool(wrong) == name.startswith(("truncated", "chunked")), (name, wrong)


@pytest.mark.parametrize("name", ["bidirectional-ragged", "attention-luong", "stacked-two-layers"])
def test_ignored_lengths_depart(name):
    golden = GOLDENS[name]
    T, S = golden.network.sizes["T"], golden.network.sizes.get("S")
    full = {n: (T if n == "lengths" else S,) * 3 for n in golden.network.ends}
    full = {n: v[:1] * golden.network.sizes["B"] for n, v in full.items()}
    changed = replace(golden, network=replace(golden.network, ends=full))
    assert "y" in disagreeing(changed, get_target("plain"))


def test_a_wrong_merge_and_a_wrong_residual_depart():
    golden = GOLDENS["stacked-mixed-residual"]
    data = golden.network.data
    for change in (
        lambda d: d["layers"][1].update(merge="mean"),
        lambda d: d.update(residual=[False, False, False]),
    ):
        other = json.loads(json.dumps(data))
        change(other)
        network = networks.layer_from(other)
        changed = replace(golden, network=replace(golden.network, network=network))
        assert "y" in disagreeing(changed, get_target("plain"))


def damaged(golden, change) -> bytes:
    data = encode(golden)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text, tensors = json.loads(header["__metadata__"][KEY]), load(data)
    change(text, tensors)
    return save(tensors, {KEY: json.dumps(text)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text, tensors: text.update(format_version=2), "format version 2"),
        (lambda text, tensors: text.update(format="rnnbench-golden"), "no golden case"),
        (lambda text, tensors: text.pop("network"), "incomplete or wrong metadata"),
        (lambda text, tensors: text["network"].update(kind="Stak"), "unknown kind of layer"),
        (lambda text, tensors: text["sizes"].update(T=0), "incomplete or wrong metadata"),
        (lambda text, tensors: text["algorithm"].update(k=3), "incomplete or wrong metadata"),
        (lambda text, tensors: text.update(padding="zeros"), "other conventions: padding"),
        (lambda text, tensors: text.update(extra=1), "unknown key 'extra'"),
        (lambda text, tensors: text.update(bits=0), "has bits 0"),
        (lambda text, tensors: text.pop("bits"), "has bits None"),
        (lambda text, tensors: text.pop("case"), "has case name None"),
        (lambda text, tensors: text.update(case=["x"]), r"has case name \['x'\]"),
        (lambda text, tensors: text.update(case="../x"), "has case name '../x'; allowed: letters"),
        (lambda text, tensors: text["sizes"].update(Q=3), "unknown key 'Q'; allowed: T, B, I"),
        (lambda text, tensors: text.update(algorithm=None), "algorithm is None; needs a mapping"),
        (lambda text, tensors: text["algorithm"].update(name=["full"]), "unknown gradient algo"),
        (lambda text, tensors: text["network"].update(kind=["Stack"]), "unknown kind of layer"),
        (lambda text, tensors: text["network"]["forward"].update(hidden_size=10**15), "metadata"),
        (lambda text, tensors: text.update(network=deep(300)), "incomplete or wrong metadata"),
        (lambda text, tensors: tensors.pop("dy"), "missing, unknown or misshapen"),
        (lambda text, tensors: tensors.update(dy=tensors["dy"][:1]), "misshapen"),
        (lambda text, tensors: tensors["x"].fill(np.nan), "not finite: x"),
        (lambda text, tensors: tensors["lengths"].fill(7), "has lengths"),
    ],
)
def test_damage_is_told(change, words):
    with pytest.raises(InputError, match=words):
        decode(damaged(GOLDENS["bidirectional-ragged"], change), "file")


def deep(levels):
    """A stack in a stack in a stack …"""
    layer = {"kind": "FeedForward", "sizes": [2], "activation": ["tanh"]}
    for _ in range(levels):
        layer = {"kind": "Stack", "layers": [layer], "residual": [False], "masks": "none"}
    return layer


@pytest.mark.parametrize("name", ["truncated-2-4", "chunked-3", "checkpointed-optimal"])
def test_no_schedule_is_made_of_a_length_that_the_tensors_do_not_have(name, monkeypatch):
    """Its list of steps would not fit into any memory."""
    monkeypatch.setattr(networks.NetworkProblem, "schedule", lambda problem: pytest.fail("made"))
    data = damaged(GOLDENS[name], lambda text, tensors: text["sizes"].update(T=10**12))
    with pytest.raises(InputError, match="misshapen"):
        decode(data, "file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text, tensors: text["algorithm"].update(name="chunked", k=2), "gradient is full"),
        (lambda text, tensors: text["network"].update(network=["x"]), r"unknown network \['x'\]"),
        (
            lambda text, tensors: text["network"]["attention"].update(decoding={}),
            "unknown decoding {}",
        ),
        (
            lambda text, tensors: text["network"]["attention"]["attention"].update(score=[]),
            r"unknown score \[\]",
        ),
        (
            lambda text, tensors: text["network"].update(bridge={"h": [["h"]], "c": "c"}),
            r"unknown encoder state in bridge \['h'\]",
        ),
    ],
)
def test_damage_of_a_pair_is_told(change, words):
    with pytest.raises(InputError, match=words) as raised:
        decode(damaged(GOLDENS["attention-luong"], change), "file")
    assert "\n" not in str(raised.value)


def test_further_metadata_are_refused():
    golden = GOLDENS["encoder-decoder"]
    data = encode(golden)
    text = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    with pytest.raises(InputError, match="unknown key 'more'"):
        decode(save(load(data), text | {"more": "1"}), "file")


def test_half_a_file_is_none():
    data = encode(GOLDENS["encoder-decoder"])
    with pytest.raises(InputError, match="no golden case of a network"):
        decode(data[: len(data) // 2], "file")
