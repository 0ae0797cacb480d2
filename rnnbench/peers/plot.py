"""The comparison as a picture, from what ``show.as_json`` saves: GF/s, a dot a peer, a row a shape.

The axis is logarithmic: the same distance is the same ratio, from one sequence to large batches.
"""

import io
import json
from pathlib import Path

from rnnbench.errors import InputError, MissingDependency, shown
from rnnbench.peers import OURS
from rnnbench.peers.rounds import TIMED
from rnnbench.report import check_writable, write_bytes

SUFFIXES = (".svg", ".png")
# colours that the colour-blind tell apart (Okabe and Ito), and markers
STYLES = {
    OURS: ("#d55e00", "o"),
    "torch": ("#0072b2", "s"),
    "onnxruntime": ("#009e73", "^"),
    "openvino": ("#cc79a7", "D"),
    "jax": ("#e69f00", "v"),
}
OTHER = ("#666666", "P")
WIDTH, ROW, MARGIN = 8.4, 0.21, 0.62  # inches: of the picture, of a shape, around a panel


def check_plot(path: str | None) -> None:
    """InputError, before long work starts, where ``draw`` would fail in the end."""
    if path is None:
        return
    if Path(path).suffix not in SUFFIXES:
        raise InputError(f"--plot is {shown(path)}; its name must end in {' or '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except Exception as error:  # a broken library can raise anything
        raise MissingDependency(
            f"matplotlib can't be imported ({' '.join(str(error).split())}); "
            "pip install 'rnnbench[plot]'"
        ) from error
    check_writable(path)


def read(path: str) -> dict:
    """What ``rnnbench compare --json`` wrote. InputError for anything else."""
    try:
        data = json.loads(Path(path).read_text())
        panels(data)
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path} holds no results of rnnbench compare --json") from error
    return data


def panels(data: dict) -> dict[str, dict[str, list[dict]]]:
    """Cell -> direction -> its rows: the shape's name, GF/s by who was timed, SGEMM's, speedup."""
    found: dict[str, dict[str, list[dict]]] = {}
    for r in data["results"]:
        row = {
            "shape": r["shape"]["name"],
            "gflops": {
                n: float(p["gflops"]) for n, p in r["peers"].items() if p["status"] == TIMED
            },
            "sgemm": float(r["sgemm_gflops"]),
            "speedup": r["speedup"],
        }
        found.setdefault(r["cell"], {}).setdefault(r["direction"], []).append(row)
    if not found:
        raise ValueError("no results")
    return found


def draw(data: dict, path: str) -> None:
    """A panel for each cell (downwards) and direction (across), written whole or not at all."""
    import matplotlib
    from matplotlib.figure import Figure

    cells = panels(data)
    directions = list(dict.fromkeys(d for tables in cells.values() for d in tables))
    heights = [MARGIN + ROW * max(map(len, tables.values())) for tables in cells.values()]
    file = io.BytesIO()
    # the salt and no date: the same figures make the same file
    with matplotlib.rc_context({"font.size": 8, "svg.hashsalt": "rnnbench"}):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.4), layout="constrained")
        grid = figure.subplots(len(cells), len(directions), squeeze=False, height_ratios=heights)
        for line, (cell, tables) in zip(grid, cells.items(), strict=True):
            for axes, direction in zip(line, directions, strict=True):
                if direction in tables:
                    panel(axes, f"{cell}, {direction}", tables[direction])
                else:
                    axes.axis("off")
        handles = {}
        for axes in grid.flat:
            found, labels = axes.get_legend_handles_labels()
            handles |= dict(zip(labels, found, strict=True))
        figure.legend(
            handles.values(), handles, loc="outside upper center", ncols=len(handles), frameon=False
        )
        suffix = Path(path).suffix[1:]
        figure.savefig(
            file, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None
        )
    write_bytes(path, file.getvalue())


def panel(axes, title: str, rows: list[dict]) -> None:
    """One cell and direction; at the right how many times as fast as the fastest peer we are."""
    from matplotlib.ticker import LogLocator

    axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    names = dict.fromkeys(name for row in rows for name in row["gflops"])
    # ours last, on top of the others
    for name in sorted(names, key=lambda name: name == OURS):
        places = [k for k, row in enumerate(rows) if name in row["gflops"]]
        colour, marker = STYLES.get(name, OTHER)
        axes.plot(
            [rows[k]["gflops"][name] for k in places],
            places,
            linestyle="",
            label=name,
            color=colour,
            marker=marker,
            markersize=7 if name == OURS else 5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=3 if name == OURS else 2,
        )
    axes.plot(
        [row["sgemm"] for row in rows],
        range(len(rows)),
        linestyle="",
        label="SGEMM",
        color="#999999",
        marker="|",
        markersize=9,
    )
    ratios = [(k, row["speedup"]) for k, row in enumerate(rows) if row["speedup"] is not None]
    if ratios:
        axes.set_title(f"{OURS} is", loc="right", fontsize=8)
    for k, speedup in ratios:
        axes.annotate(
            f"{speedup:.2f}×",
            (1.01, k),
            xycoords=("axes fraction", "data"),
            verticalalignment="center",
            fontweight="bold" if speedup >= 1 else "normal",
        )
    axes.set_yticks(range(len(rows)), [row["shape"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log", subs=[])
    axes.set_xlabel("GF/s")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
