"""The figures that ``rnnbench speed`` measures, by name: how, how shown, at what by default."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnbench.cells import cell_names
from rnnbench.peers import figure_tables as tables
from rnnbench.peers import figures, growth, ours, start, ways_figure
from rnnbench.peers.rounds import TIMED
from rnnbench.peers.workload import FLOPS
from rnnbench.report import machine
from rnnbench.shapes import SMALL, Shape, get_shape, square

FEW = ("lstm", "gru", "elman_tanh")
ONE = FEW[:1]


@dataclass(frozen=True)
class Figure:
    """measure(cells, shapes, threads, rounds, report) -> rows; show(console, rows)."""

    measure: Callable[..., list[dict]]
    show: Callable[..., None]
    definition: str
    cells: Callable[[], Sequence[str]]
    shapes: tuple[Shape, ...]


FIGURES = {
    "cells": Figure(
        figures.cells,
        tables.show_cells,
        figures.DEFINITIONS["cells"],
        cell_names,
        (get_shape("T50B32H128"), get_shape("T25B32H512")),
    ),
    "dtype": Figure(
        figures.dtype, tables.show_dtype, figures.DEFINITIONS["dtype"], lambda: FEW, SMALL
    ),
    "threads": Figure(
        figures.threads, tables.show_threads, figures.DEFINITIONS["threads"], lambda: ONE, SMALL
    ),
    "time": Figure(growth.growth, tables.show_time, growth.DEFINITION, lambda: ONE, growth.SHAPES),
    "start": Figure(start.start, tables.show_start, start.DEFINITION, lambda: ONE, start.SHAPES),
    "steps": Figure(
        figures.steps,
        tables.show_steps,
        figures.DEFINITIONS["steps"],
        lambda: FEW,
        tuple(square(100, 1, H) for H in (64, 256, 512)),
    ),
    "gradients": Figure(
        ways_figure.measure, tables.show_gradients, ways_figure.DEFINITION, lambda: ONE, ()
    ),
}


def facts(threads: int, rounds: int) -> dict:
    """What the figures were measured on and with."""
    return {
        "machine": machine(),
        "rnnbench": ours.version(),
        "threads": threads,
        "rounds": rounds,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "flops": FLOPS,
    }


def as_json(head: dict, measured: dict[str, list[dict]]) -> dict:
    """Everything that was measured, and what the names mean."""
    definitions = {name: FIGURES[name].definition for name in measured}
    return head | {"definitions": definitions, "figures": measured}


def unfit(rows: list[dict]) -> list[dict]:
    """The rows that were not timed."""
    return [row for row in rows if row["status"] != TIMED]
