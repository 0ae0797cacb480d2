"""The pictures of ``rnnbench gradflow``: curves on a logarithmic scale, gates as heat maps.

Curves are drawn from logarithms on a plain axis, so that a norm of 1e-600 has its place too.
Files are written whole or not at all, and the same figures make the same file.
"""

import io
import warnings
from pathlib import Path

import numpy as np

from rnnbench.diagnostics.flow import median
from rnnbench.report import write_bytes

# colours that the colour-blind tell apart (Okabe and Ito), then dashes
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("-", "--", ":", "-.")
WIDTH = 8.4  # inches
LABELLED = 150  # characters of a text that still find room below a heat map


def power(value: float) -> str:
    """A tick's label: 10 to that power, a plain number between whole powers."""
    return f"$10^{{{value:g}}}$" if value == round(value) else f"{10**value:.2g}"


def draw_curves(path: str, title: str, x_label: str, y_label: str, curves: list[dict]) -> None:
    """A line a curve: label, x (n,) and log10 (n,B); its median over the batch, in a band from
    the least to the most."""
    from matplotlib.figure import Figure

    def paint():
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        for k, curve in enumerate(curves):
            colour, dash = COLOURS[k % len(COLOURS)], DASHES[k // len(COLOURS) % len(DASHES)]
            values = np.where(np.isfinite(curve["log10"]), curve["log10"], np.nan)
            middle = median(values)
            axes.plot(curve["x"], middle, dash, color=colour, label=curve["label"])
            if values.shape[1] > 1:
                low, high = values.min(axis=1), values.max(axis=1)
                axes.fill_between(curve["x"], low, high, color=colour, alpha=0.15, linewidth=0)
        axes.axhline(0, color="#999999", linewidth=0.6)
        axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.yaxis.set_major_formatter(lambda value, place: power(value))
        axes.grid(color="#e5e5e5", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False)
        return figure

    save(path, paint)


def draw_gates(path: str, text: str, panels: list[tuple[str, np.ndarray]]) -> None:
    """A heat map for each (title, values (T,width)): a row a unit, a column a character.

    White to dark from 0 to 1 for values in [0, 1]; others from blue over white to red, 0 white.
    """
    from matplotlib.figure import Figure

    def paint():
        width = max(WIDTH, min(0.13 * len(text) + 1.6, 4 * WIDTH))
        heights = [0.6 + max(0.9, min(0.05 * values.shape[1], 3.2)) for _, values in panels]
        figure = Figure(figsize=(width, sum(heights)), layout="constrained")
        grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (title, values) in zip(grid, panels, strict=True):
            finite = values[np.isfinite(values)]
            gate = not finite.size or (finite.min() >= 0 and finite.max() <= 1)
            largest = 1.0 if gate else float(np.abs(finite).max())
            image = axes.imshow(
                values.T,
                aspect="auto",
                interpolation="nearest",
                cmap="Greys" if gate else "RdBu_r",
                vmin=0.0 if gate else -largest,
                vmax=largest,
            )
            axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
            axes.set_ylabel("unit")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            if len(text) <= LABELLED:
                axes.set_xticks(range(len(text)), [visible(c) for c in text], family="monospace")
            else:
                axes.set_xlabel("character")
            figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03)
        return figure

    save(path, paint)


def visible(character: str) -> str:
    """What stands below a column; a dollar sign would begin a formula."""
    known = {" ": "␣", "\n": "↵", "\t": "→", "$": r"\$"}
    return known.get(character, character if character.isprintable() else "·")


def save(path: str, paint) -> None:
    """Draw with the house's settings, and write the file whole; by its suffix SVG or PNG."""
    import matplotlib

    suffix, file = Path(path).suffix[1:], io.BytesIO()
    # the salt and no date: the same figures make the same file
    context = matplotlib.rc_context({"font.size": 8, "svg.hashsalt": "rnnbench"})
    with context, warnings.catch_warnings():
        # a character that the font has not is drawn as a box
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        paint().savefig(
            file, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None
        )
    write_bytes(path, file.getvalue())
