"""``rnnbench export``: write golden cases."""

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rnnbench.cells import get_cell


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--cell", "cells", multiple=True, help="Only this cell; may be repeated.")
def command(directory, cells):
    """Write golden cases of every cell to DIR: safetensors files and index.json.

    A case holds inputs (parameters, x, initial states, lengths, upstream gradients) and results
    (y, every state, all gradients), all float64. The inputs are exact in float32 too. Each result
    is the float64 nearest to the exact value, proved in ball arithmetic, so every machine writes
    the same bytes. The conventions (gate order, shapes, padding) are in each file's metadata under
    "rnnbench", as JSON; index.json lists the files with their SHA-256 sums.

    Without --cell also cases of networks (stacked, bidirectional, encoder-decoder, attention) and
    of gradient algorithms (truncated, checkpointed): network-*.safetensors, networks.json. Their
    metadata hold the network and the algorithm as JSON.

    Last comes the set's mutation score: of many planted mistakes (gate orders, dropped biases,
    ignored lengths, ...), how many depart, judged by y alone at float32's tolerance.
    """
    from rnnbench.conformance.case_file import file_name
    from rnnbench.conformance.cases import golden_case, golden_pairs
    from rnnbench.conformance.golden import INDEX, NETWORKS, write_set
    from rnnbench.conformance.mutation import mutation_score
    from rnnbench.conformance.network_golden import solve
    from rnnbench.conformance.network_problems import problems
    from rnnbench.errors import InputError
    from rnnbench.report import check_writable, make_directory

    pairs = golden_pairs([get_cell(cell).name for cell in dict.fromkeys(cells)])
    if not directory:
        raise InputError("DIR is ''; needs a directory")
    place = make_directory(directory)  # can't be written: say so before the work
    check_writable(place / f".{INDEX}.new")  # no file's name: the directory takes new files
    for name in [INDEX, *(file_name(cell, problem.name) for cell, problem in pairs)]:
        check_writable(place / name)
    err = Console(stderr=True)
    goldens = [
        golden_case(cell, problem)
        for cell, problem in track(pairs, "proving", console=err, transient=True)
    ]
    entries = write_set(directory, goldens)
    networks = []
    if not cells:
        tracked = track(problems(), "networks", console=err, transient=True)
        networks = write_set(directory, [solve(problem) for problem in tracked], NETWORKS)

    table = Table("cell", "cases", "variants", "bits", "bytes", box=box.SIMPLE_HEAD)
    groups: dict[str, list] = {}
    for golden, entry in zip(goldens, entries, strict=True):
        groups.setdefault(golden.cell.partition("[")[0], []).append((golden, entry))
    for name, group in groups.items():
        variants = len({golden.cell for golden, _ in group} - {name})
        bits = max(golden.bits for golden, _ in group)
        size = sum(entry.bytes for _, entry in group)
        numbers = (len(group), variants or "", bits, size)
        table.add_row(name, *map(str, numbers))
    console = Console()
    console.print(table)
    total = sum(entry.bytes for entry in entries)
    text = f"{len(entries)} cases, {total} bytes, and {INDEX} in {directory}"
    console.print(text, soft_wrap=True, markup=False, highlight=False)
    if networks:
        total = sum(entry.bytes for entry in networks)
        text = (
            f"{len(networks)} cases of networks and algorithms, {total} bytes, and {NETWORKS.index}"
        )
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    written = {entry.file for entry in entries + networks}
    others = {path.name for path in place.glob("*.safetensors")} - written
    if others:
        console.print(f"{len(others)} other .safetensors files lie there; they are not of this set")
    caught = mutation_score(track(goldens, "planting mistakes", console=err, transient=True))
    console.print(
        f"mutation score: {sum(caught.values())} of {len(caught)} planted mistakes caught"
    )
    for cell, mistake in (key for key, found in caught.items() if not found):
        console.print(f"  not caught: {cell}: {mistake}", markup=False)
