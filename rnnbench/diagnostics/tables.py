"""What ``rnnbench gradflow`` measured, as tables that read well at 80 columns."""

import math

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rnnbench.diagnostics.flow import median

COLUMNS = 5


def decimal(log10: float) -> str:
    """10 to that power with two digits: 0.62, 12, 3.4e-23; far outside float64's range too."""
    if math.isnan(log10):
        return "nan"
    if math.isinf(log10):
        return "inf" if log10 > 0 else "0"
    if -2 <= log10 < 4:
        return f"{10**log10:.0f}" if log10 >= 1 else f"{10**log10:.2g}"
    exponent = math.floor(log10)
    digits = f"{10 ** (log10 - exponent):.1f}"
    if digits == "10.0":
        digits, exponent = "1.0", exponent + 1
    return f"{digits}e{exponent:+03d}"


def spread(n: int) -> list[int]:
    """A few places from 1 to n, first and last always; roughly evenly apart."""
    return sorted({1, *(round(n * k / (COLUMNS - 1)) for k in range(1, COLUMNS))} - {0})


def show_curves(console: Console, title: str, head: str, rows: list[dict], last: str) -> None:
    """A row a curve: its label, its median at a few places, and what ``last`` names.

    rows: label, log10 (n,B) by place 0 … n−1, last (its log₁₀); all n alike.
    """
    places = spread(len(rows[0]["log10"]) - 1) if len(rows[0]["log10"]) > 1 else [0]
    table = new_table(head, *map(str, places), last)
    for row in rows:
        middle = median(row["log10"])
        numbers = [decimal(middle[p]) for p in places]
        table.add_row(escape(row["label"]), *numbers, decimal(row["last"]))
    console.print(title, style="bold", markup=False)
    console.print(table)


def show_gates(console: Console, title: str, rows: list[dict]) -> None:
    """A row a gate: label, gate and what ``heatmap.saturation`` says of it."""
    table = new_table("cell", "gate", "mean", "least", "most", "< 0.1", "> 0.9")
    for row in rows:
        shares = ["" if row[k] is None else f"{row[k]:.0%}" for k in ("low", "high")]
        numbers = [f"{row[k]:.2f}" for k in ("mean", "least", "most")]
        table.add_row(escape(row["label"]), escape(row["gate"]), *numbers, *shares)
    console.print(title, style="bold", markup=False)
    console.print(table)


def new_table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
