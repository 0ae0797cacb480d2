"""Every gradient algorithm as data: what it computes, what it costs, where it works, who proved it.

``rnnbench gradients`` and the README's table are printed from this list, and a test imports every
function it names. Constants are left out where a formula says O.
"""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rnnbench.errors import unknown
from rnnbench.gradients import entries_online, entries_schedules

LETTERS = (
    "Costs are of a whole sequence, memory beside x, y, the parameters and all of their gradients. "
    "T steps, H hidden size, S numbers in the states (H, or 2H for h and c), P parameters, A "
    "numbers a step leaves on the tape, f and b the time of a step forward and back; a batch "
    "multiplies all"
)
KINDS = {
    "schedule": "runs the cell forwards and back over stretches, by a list of steps",
    "online": "goes forwards only, carrying an influence of the parameters on the state",
    "scan": "runs all steps at once",
    "reversible": "recomputes states backwards",
    "topology": "adds connections to the network for the gradient to take",
    "clipping": "limits a gradient once it is there, or on its way",
}


@dataclass(frozen=True)
class Algorithm:
    """One row. bias: "" where the gradient is exact, else what it is in place of the exact one.

    time, memory: formulas in ``LETTERS``. cells: which ones it works on, and why not on others.
    check: the exact property that tests demand. about: three to eight lines. path: the public
    function or class, ``package.module.name``.
    """

    name: str
    kind: str
    source: str
    bias: str
    time: str
    memory: str
    cells: str
    check: str
    about: str
    path: str

    @property
    def exact(self) -> bool:
        return not self.bias

    def load(self) -> Callable:
        """The public function or class."""
        module, _, name = self.path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def _algorithms() -> dict[str, Algorithm]:
    rows = (*entries_schedules.ROWS, *entries_online.ROWS)
    rows = sorted(rows, key=lambda row: list(KINDS).index(row["kind"]))
    found = {row["name"]: Algorithm(**row) for row in rows}
    if len(found) < len(rows):
        raise ValueError("two algorithms of one name")
    return found


ALGORITHMS: dict[str, Algorithm] = _algorithms()


def get_algorithm(name: str) -> Algorithm:
    """InputError for an unknown name."""
    if name not in ALGORITHMS:
        raise unknown("gradient algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def markdown_table(algorithms: Iterable[Algorithm] | None = None) -> str:
    """A table of these algorithms, all by default: the README's."""
    lines = ["| algorithm | bias | time | memory | source |", "|---|---|---|---|---|"]
    for a in ALGORITHMS.values() if algorithms is None else algorithms:
        lines.append(f"| `{a.name}` | {a.bias or 'exact'} | {a.time} | {a.memory} | {a.source} |")
    return "\n".join(lines)
