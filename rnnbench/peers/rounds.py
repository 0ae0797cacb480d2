"""The comparison: check every peer, then time them in turn, round after round; then its memory."""

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rnnbench.errors import InputError
from rnnbench.peers import OURS, PEERS, load_peer, sgemm
from rnnbench.peers.process import PeerError, PeerProcess
from rnnbench.peers.timing import PAUSE
from rnnbench.peers.workload import Workload

TIMED, DISAGREES, FAILED = "timed", "disagrees", "failed"
SGEMM = "rnnbench.peers.sgemm"


@dataclass
class Timing:
    """One peer at one workload: the seconds of each round, or why there are none; its memory, as
    ``memory.py`` has it, empty where that was not measured."""

    status: str = TIMED
    reason: str = ""
    seconds: list[float] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def stop(self, status: str, reason: str) -> None:
        self.status, self.reason, self.seconds = status, reason, []


@dataclass
class Result:
    """All peers at one workload. sgemm: this machine's rate, GF/s, median over the same rounds."""

    workload: Workload
    timings: dict[str, Timing]
    sgemm: float = math.nan

    def timed(self) -> dict[str, Timing]:
        return {name: t for name, t in self.timings.items() if t.status == TIMED}

    def gflops(self, name: str) -> float:
        return self.workload.flops() / self.timings[name].median / 1e9

    def share(self, name: str) -> float:
        """Of the SGEMM rate."""
        return self.gflops(name) / self.sgemm

    def speedup(self, name: str) -> float:
        """How many times as fast as that peer we are."""
        return self.timings[name].median / self.timings[OURS].median

    def fastest_peer(self) -> str:
        """The fastest of the others; empty where there is none, or ours was not timed."""
        timed = self.timed()
        others = {name: t.median for name, t in timed.items() if name != OURS}
        return min(others, key=others.get) if others and OURS in timed else ""


class Comparison:
    """The peers' processes, for as many workloads as wanted. A context manager.

    memory: also measure it, each peer in a further process for each workload.
    """

    def __init__(self, names: Iterable[str], threads: int, rounds: int, memory: bool = False):
        self.threads, self.rounds, self.memory = threads, rounds, memory
        self.processes = {name: PeerProcess(PEERS[name], threads) for name in names}
        self.sgemm = PeerProcess(SGEMM, threads)

    def __enter__(self):
        try:
            self.sgemm_source = self.sgemm.prepare(None)
        except PeerError as error:
            self.sgemm.close()
            raise InputError(f"can't measure the SGEMM rate: {error}") from error
        return self

    def __exit__(self, *exception):
        for process in (*self.processes.values(), self.sgemm):
            process.close()

    def run(self, workload: Workload, report: Callable[[str], None] = lambda line: None) -> Result:
        """Nothing is timed before its result agrees with the reference at this very shape."""
        offered = [
            name
            for name in self.processes
            if load_peer(name).offers(workload.cell, workload.direction)
        ]
        result = Result(workload, {name: Timing() for name in offered})
        for name, timing in result.timings.items():
            report(f"checking {name}")
            try:
                wrong = workload.disagreement(self.processes[name].prepare(workload))
                if wrong:
                    timing.stop(DISAGREES, wrong)
            except PeerError as error:
                timing.stop(FAILED, str(error))
        rates = []
        for k in range(self.rounds):
            report(f"round {k + 1} of {self.rounds}")
            names = list(result.timed())
            turn = k % max(1, len(names))
            for name in names[turn:] + names[:turn]:
                time.sleep(PAUSE)
                try:
                    result.timings[name].seconds.append(self.processes[name].time())
                except PeerError as error:
                    result.timings[name].stop(FAILED, str(error))
            time.sleep(PAUSE)
            try:
                if self.sgemm.process is None:  # it ended in the last round
                    self.sgemm.prepare(None)
                rates.append(sgemm.rate(self.sgemm.time()))
            except PeerError as error:
                report(f"the SGEMM rate can't be measured: {error}")
        result.sgemm = statistics.median(rates) if rates else math.nan
        for name, timing in result.timed().items() if self.memory else ():
            report(f"memory of {name}")
            process = PeerProcess(PEERS[name], self.threads)
            try:
                timing.memory = process.memory(workload) or {}
            except PeerError as error:
                report(f"the memory of {name} can't be measured: {error}")
            finally:
                process.close()
        return result


def geometric_means(results: list[Result]) -> list[dict]:
    """For each direction, and for each cell in it: how many times as fast as the fastest peer, at
    how many shapes at least as fast, and the worst of them."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        if r.fastest_peer():
            for cell in ("", r.workload.cell):
                groups.setdefault((r.workload.direction, cell), []).append(r)
    return [_mean(*key, group) for key, group in sorted(groups.items())]


def _mean(direction: str, cell: str, results: list[Result]) -> dict:
    speedups = [r.speedup(r.fastest_peer()) for r in results]
    worst = results[speedups.index(min(speedups))]
    return {
        "direction": direction,
        "cell": cell,
        "shapes": len(results),
        "speedup": statistics.geometric_mean(speedups),
        "at_least_as_fast": sum(s >= 1 for s in speedups),
        "worst": {
            "speedup": min(speedups),
            "cell": worst.workload.cell,
            "shape": worst.workload.shape.name,
            "fastest_peer": worst.fastest_peer(),
        },
    }
