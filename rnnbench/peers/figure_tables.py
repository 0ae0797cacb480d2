"""The figures of ``rnnbench speed`` as tables that read well at 80 columns."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rnnbench.peers.rounds import TIMED
from rnnbench.peers.show import digits, titled


def show_head(console: Console, head: dict) -> None:
    machine = head["machine"]
    console.print(
        f"{machine['processor']}, {machine['cores']} processors; rnnbench {head['rnnbench']} on "
        f"{head['threads']} threads; Python {machine['python']}, NumPy {machine['numpy']}, Numba "
        f"{machine['numba']}; float32 unless said; median and range of {head['rounds']} rounds"
    )
    if (head["load"] or 0) > machine["cores"] / 2:
        console.print(
            f"[yellow]other work is running here (load {head['load']:.1f}): these figures say "
            "little[/]"
        )


def table_of(title: str, *columns: str, left: int = 1) -> Table:
    """``left``: how many columns hold words."""
    table = titled(title, show_edge=False)
    for k, column in enumerate(columns):
        if k < left:
            table.add_column(column, overflow="fold")  # a variant's name may be long
        else:
            table.add_column(column, justify="right", no_wrap=True)
    return table


def show_tables(console: Console, tables: Iterable[Table], rows: list[dict]) -> None:
    """Those that have rows; then what was not timed, and why."""
    for table in tables:
        if table.row_count:
            console.print(table)
            console.print()
    for row in rows:
        if row["status"] != TIMED:
            shape = f" {row['shape']['name']}" if "shape" in row else ""
            line = f"{row['cell']}{shape} {row['direction']}: {row['status']}, not timed: "
            console.print(f"[red]{escape(line + row['reason'])}[/]")


def groups(rows: list[dict], key) -> dict:
    """The timed rows by their key, in order."""
    found: dict = {}
    for row in rows:
        if row["status"] == TIMED:
            found.setdefault(key(row), []).append(row)
    return found


def span(spread: dict, scale: float = 1.0) -> str:
    return f"{digits(spread['low'] * scale)}–{digits(spread['high'] * scale)}"


def times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 9.995 else digits(ratio)


def show_cells(console: Console, rows: list[dict]) -> None:
    """A table for each shape and direction; red is above the limit."""
    tables, lines = [], []
    for (shape, direction), own in groups(
        rows, lambda r: (r["shape"]["name"], r["direction"])
    ).items():
        title = f"{shape}, {direction}: × LSTM"
        table = table_of(
            title, "cell", "stages", "ms", "range", "GF/s", "per\ngate", "range", "per\nslot",
            "limit",
        )  # fmt: skip
        for row in own:
            color, sign = ("green", "≤") if row["within"] else ("red", ">")
            table.add_row(
                escape(row["cell"]),
                str(row["stages"]),
                digits(row["seconds"]["median"] * 1e3),
                span(row["seconds"], 1e3),
                digits(row["gflops"]),
                times(row["per_gate"]["median"]),
                f"{times(row['per_gate']['low'])}–{times(row['per_gate']['high'])}",
                times(row["per_slot"]["median"]),
                f"[{color}]{sign} {row['limit']}[/]",
            )
        tables.append(table)
        within = sum(row["within"] for row in own)
        worst = max(own, key=lambda row: row["per_gate"]["median"] / row["limit"])
        lines.append(
            f"{shape}, {direction}: {within} of {len(own)} cells within their limit; furthest: "
            f"{worst['cell']}, {times(worst['per_gate']['median'])} of {worst['limit']}"
        )
    show_tables(console, tables, rows)
    for line in lines:
        console.print(escape(line))
    console.print("gate: H·(I+H) multiply-adds of weight matrices; slot: a pre-activation\n")


def show_pairs(console, rows, title: str, names: tuple[str, str], ratio: str, label: str) -> None:
    """A table for each cell and direction: two times, in ms, and a ratio."""
    tables = []
    for (cell, direction), own in groups(rows, lambda r: (r["cell"], r["direction"])).items():
        heads = [head for name in names for head in (f"{name}\nms", "range")]
        table = table_of(f"{cell}, {direction}: {title}", "shape", *heads, label, "range")
        for row in own:
            cells = []
            for name in names:
                cells += [digits(row[name]["median"] * 1e3), span(row[name], 1e3)]
            low, high = times(row[ratio]["low"]), times(row[ratio]["high"])
            table.add_row(
                row["shape"]["name"], *cells, times(row[ratio]["median"]), f"{low}–{high}"
            )
        tables.append(table)
    show_tables(console, tables, rows)


def show_dtype(console: Console, rows: list[dict]) -> None:
    show_pairs(console, rows, "the rate of float64", ("float32", "float64"), "ratio", "of\nfloat32")


def show_threads(console: Console, rows: list[dict]) -> None:
    title = f"{rows[0]['threads']} threads against one"
    show_pairs(console, rows, title, ("one", "all"), "speedup", "times\nas fast")


def show_time(console: Console, rows: list[dict]) -> None:
    """A table for each cell and direction, and the two lines through it."""
    for row in rows:
        if row["status"] != TIMED:
            continue
        heads = ("shape", "ms", "range", "µs per\nstep", "MB\nadded", "kB per\nstep")
        table = table_of(f"{row['cell']}, {row['direction']}", *heads)
        for p in row["points"]:
            T, seconds, memory = p["shape"]["T"], p["seconds"], p["memory"]
            table.add_row(
                p["shape"]["name"],
                digits(seconds["median"] * 1e3),
                span(seconds, 1e3),
                digits(seconds["median"] / T * 1e6),
                "" if memory is None else digits(memory / 1e6),
                "" if memory is None else digits(memory / T / 1e3),
            )
        console.print(table)
        for quantity, scale, unit in (("seconds", 1e6, "µs"), ("memory", 1e-3, "kB")):
            fit = row["fit"][quantity]
            if fit:
                console.print(
                    f"{quantity}: {fit['per_step'] * scale:.4g} {unit} a step "
                    f"{fit['intercept'] * scale:+.3g} {unit}; R² {fit['r_squared']:.6f}; at most "
                    f"{fit['largest_residual']:.1%} off"
                )
        console.print()
    show_tables(console, [], rows)


def show_start(console: Console, rows: list[dict]) -> None:
    """A table for each cell and shape."""
    tables = []
    for row in (r for r in rows if r["status"] == TIMED):
        title = f"{row['cell']} {row['shape']['name']}, a fresh process"
        table = table_of(title, "", "seconds", "range", "runs")
        for label, key in (
            ("the interpreter alone", "interpreter"),
            ("import rnnbench", "import"),
            ("first call, empty cache", "first_cold"),
            ("first call, from cache", "first_cached"),
            ("  of it loading Numba", "loading"),
        ):
            seconds = row[key]
            runs = str(len(seconds["rounds"]))
            table.add_row(label, digits(seconds["median"]), span(seconds), runs)
        tables.append(table)
    show_tables(console, tables, rows)
    console.print("first call: forward and backward, and everything loaded for it\n")


def show_steps(console: Console, rows: list[dict]) -> None:
    """A table for each cell."""
    tables = []
    for cell, own in groups(rows, lambda r: r["cell"]).items():
        table = table_of(f"{cell}, forward", "shape", "µs per\nstep", "range", "GF/s")
        for row in own:
            spread = row["microseconds"]
            table.add_row(
                row["shape"]["name"],
                digits(spread["median"]),
                span(spread),
                digits(row["gflops"]),
            )
        tables.append(table)
    show_tables(console, tables, rows)


def show_gradients(console: Console, rows: list[dict]) -> None:
    """A table for each group."""
    tables = []
    for (group, cell), own in groups(rows, lambda r: (r["group"], r["cell"])).items():
        table = table_of(
            f"{group}: {cell}, train", "shape", "way", "ms", "range", "× the\nplain",
            "pre-\ndicted", "MB\nadded", "states", "taped", left=2,
        )  # fmt: skip
        for row in own:
            predicted, memory = row.get("predicted"), row["memory"]
            table.add_row(
                row["shape"]["name"],
                row["way"],
                digits(row["seconds"]["median"] * 1e3),
                span(row["seconds"], 1e3),
                times(row["ratio"]["median"]),
                times(predicted["median"]) if predicted else "",
                "" if memory is None else digits(memory / 1e6),
                str(row.get("states", "")),
                str(row.get("taped", "")),
            )
        tables.append(table)
    show_tables(console, tables, rows)
