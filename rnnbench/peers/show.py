"""The comparison as tables that read well at 80 columns, and as JSON."""

import math
import os

from rich import box
from rich.markup import escape
from rich.table import Table

from rnnbench.peers import OURS, sgemm
from rnnbench.peers.memory import MEMORY
from rnnbench.peers.rounds import TIMED, Result, geometric_means
from rnnbench.peers.workload import FLOPS


def head(
    machine: dict, versions: dict[str, str], threads: int, rounds: int, sgemm_source: str
) -> dict:
    """What the figures were measured on and with."""
    return {
        "machine": machine,
        "threads": threads,
        "rounds": rounds,
        "dtype": "float32",
        "peers": versions,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "sgemm_source": sgemm_source,
        "sgemm_size": sgemm.N,
        "flops": FLOPS,
        "memory": MEMORY,
    }


def show_head(console, facts: dict) -> None:
    machine = facts["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["peers"].items())
    console.print(
        f"{machine['processor']}, {machine['cores']} processors; {facts['threads']} threads each; "
        f"Python {machine['python']}, NumPy {machine['numpy']}, Numba {machine['numba']}; "
        f"{versions}",
        highlight=False,
    )
    console.print(
        f"float32; median and range of {facts['rounds']} interleaved rounds; SGEMM is "
        f"{facts['sgemm_source']}'s product of {facts['sgemm_size']}² in the same rounds; "
        f"flops counted: {facts['flops']}",
        highlight=False,
    )
    if (facts["load"] or 0) > machine["cores"] / 2:
        console.print(
            f"[yellow]other work is running here (load {facts['load']:.1f}): threads that wait "
            "for each other stall, so these figures say little[/]",
            highlight=False,
        )
    if len(facts["peers"]) == 1:
        console.print(
            "no peer is installed (pip install 'rnnbench[torch,onnxruntime,openvino,jax]'): "
            "rnnbench alone against SGEMM",
            highlight=False,
        )


def titled(title: str, **more) -> Table:
    """A table at least as wide as its title, which rich would else fold."""
    return Table(
        title=escape(title), box=box.SIMPLE, padding=0, title_justify="left", min_width=len(title),
        **more,
    )  # fmt: skip


def show_group(console, title: str, results: list[Result]) -> None:
    """All shapes of one cell and direction; the fastest at each shape is bold."""
    steps = any(r.workload.shape.B == 1 for r in results)  # one sequence: its latency matters
    memory = any(t.memory for r in results for t in r.timings.values())
    table = titled(title)
    table.add_column("shape", no_wrap=True)
    table.add_column("who", no_wrap=True)
    columns = ("ms", "range", *["µs per\nstep"] * steps, "GF/s", "of\nSGEMM", *["MB"] * memory)
    for name in (*columns, "rnnbench\nis"):
        table.add_column(name, justify="right", no_wrap=True)
    for r in results:
        T, B, *_ = r.workload.shape
        timed = r.timed()
        best = min(timed, key=lambda name, timed=timed: timed[name].median, default="")
        for k, (name, t) in enumerate(r.timings.items()):
            label = "" if k else r.workload.shape.name
            last = k == len(r.timings) - 1
            if t.status != TIMED:
                table.add_row(label, name, t.status, end_section=last)
                continue
            ratio = f"{r.speedup(name):.2f}×" if name != OURS and OURS in timed else ""
            table.add_row(
                label,
                f"[bold]{name}[/]" if name == best else name,
                digits(t.median * 1e3),
                f"{digits(min(t.seconds) * 1e3)}–{digits(max(t.seconds) * 1e3)}",
                *[digits(t.median / T * 1e6) if B == 1 else ""] * steps,
                digits(r.gflops(name)),
                f"{r.share(name):.0%}",
                *[digits(t.memory["memory"] / 1e6) if t.memory else ""] * memory,
                ratio,
                end_section=last,
            )
    console.print(table)
    for r in results:
        for name, t in r.timings.items():
            if t.status != TIMED:
                line = f"{r.workload.shape.name}: {name} {t.status}, not timed: {t.reason}"
                console.print(f"[red]{escape(line)}[/]", highlight=False)


def show_summary(console, facts: dict, results: list[Result]) -> None:
    """For each direction, and each cell where there are several: rnnbench against the fastest
    peer."""
    means = geometric_means(results)
    for m in means:
        several = sum(o["direction"] == m["direction"] for o in means) > 2
        if m["cell"] and not several:
            continue
        if m["cell"]:
            line = f"  {m['cell']}: {m['speedup']:.2f}×"
        else:
            line = (
                f"{m['direction']}: rnnbench is {m['speedup']:.2f}× as fast as the fastest peer "
                f"(geometric mean of {m['shapes']})"
            )
        worst = m["worst"]
        where = worst["shape"] if m["cell"] or not several else f"{worst['cell']} {worst['shape']}"
        line += (
            f"; at least as fast at {m['at_least_as_fast']} of {m['shapes']}; "
            f"worst {worst['speedup']:.2f}×, at {where} ({worst['fastest_peer']})"
        )
        console.print(escape(line), highlight=False)
    rates = [r.sgemm for r in results if r.sgemm > 0] or [math.nan]
    console.print(
        f"SGEMM ({facts['sgemm_source']}): {digits(min(rates))} to {digits(max(rates))} GF/s",
        highlight=False,
    )


def digits(value: float) -> str:
    """Three significant digits, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def as_json(facts: dict, results: list[Result]) -> dict:
    """Everything that was measured."""
    return facts | {
        "results": [_result(r) for r in results],
        "geometric_means": geometric_means(results),
    }


def _result(r: Result) -> dict:
    peers = {}
    for name, t in r.timings.items():
        peers[name] = {"status": t.status}
        if t.status != TIMED:
            peers[name]["reason"] = t.reason
            continue
        peers[name] |= {
            "seconds": t.median,
            "low": min(t.seconds),
            "high": max(t.seconds),
            "rounds": t.seconds,
            "gflops": r.gflops(name),
            "sgemm_share": r.share(name),
            "memory": t.memory.get("memory"),
            "memory_prepared": t.memory.get("memory_prepared"),
        }
        if name != OURS and OURS in r.timed():
            peers[name]["rnnbench_speedup"] = r.speedup(name)
    fastest = r.fastest_peer()
    return {
        "cell": r.workload.cell,
        "shape": {"name": r.workload.shape.name} | r.workload.shape._asdict(),
        "direction": r.workload.direction,
        "flops": r.workload.flops(),
        "sgemm_gflops": r.sgemm,
        "peers": peers,
        "fastest_peer": fastest or None,
        "speedup": r.speedup(fastest) if fastest else None,
    }
