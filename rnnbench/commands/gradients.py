"""``rnnbench gradients``: every way of taking the gradient, and what each one costs."""

import itertools
import textwrap

import click

from rnnbench.commands._options import json_option

WIDTH = 80


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--kind", help="Only algorithms of this kind.")
@click.option("--markdown", is_flag=True, help="The list as a table in Markdown.")
@json_option
def command(name, kind, markdown, json_path):
    """List the gradient algorithms, or explain one: idea, costs, cells, what is tested.

    \b
    rnnbench gradients
    rnnbench gradients rtrl
    rnnbench gradients --kind schedule
    """
    from rnnbench.errors import InputError, unknown
    from rnnbench.gradients.catalogue import ALGORITHMS, KINDS, get_algorithm, markdown_table
    from rnnbench.report import write_json

    if name is not None:
        if kind is not None or markdown:
            option = "--markdown" if markdown else "--kind"
            raise InputError(f"{option} is for the list, not for one algorithm; {name!r} was given")
        found = get_algorithm(name)
        if json_path:
            write_json(json_path, as_json(found))
        click.echo("\n".join(page(found)))
        return
    if kind is not None and kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    rows = [a for a in ALGORITHMS.values() if kind in (None, a.kind)]
    if json_path:
        write_json(json_path, [as_json(a) for a in rows])
    click.echo(markdown_table(rows) if markdown else "\n".join(listing(rows)))


def as_json(algorithm) -> dict:
    return vars(algorithm) | {"exact": algorithm.exact}


def listing(rows) -> list[str]:
    """A row an algorithm, below its kind; at most 80 characters."""
    from rnnbench.gradients.catalogue import KINDS, LETTERS

    widths = [22, 23, 17, 15]
    lines = [*aligned(("algorithm", "bias", "time", "memory"), widths), "-" * WIDTH]
    last = None
    for a in rows:
        if a.kind != last:
            lines += wrapped(f"{a.kind}: {KINDS[a.kind]}", 1)
        lines += aligned((f" {a.name}", a.bias or "exact", a.time, a.memory), widths)
        last = a.kind
    return [*lines, "", *wrapped(f"{len(rows)} algorithms. {LETTERS}.", 0)]


def aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """A row's lines: what is too wide for its column goes on below."""
    cells = [
        textwrap.wrap(text, width, break_long_words=True, subsequent_indent="  " * (k == 0))
        for k, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return [
        " ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in itertools.zip_longest(*cells, fillvalue="")
    ]


def page(a) -> list[str]:
    """One algorithm, as lines of at most 80 characters."""
    from rnnbench.gradients.catalogue import LETTERS

    lines = [a.name, *wrapped(f"    {a.source} ({a.kind})", 4), "", *wrapped(a.about, 0), ""]
    entries = {
        "bias": a.bias or "exact",
        "time": a.time,
        "memory": a.memory,
        "works on": a.cells,
        "tested": a.check,
        "function": a.path,
    }
    for title, text in entries.items():
        lines += wrapped(f"{title:9} {text}", 10)
    return [*lines, "", *wrapped(f"{LETTERS}.", 0)]


def wrapped(text: str, indent: int) -> list[str]:
    """Lines of at most 80 characters; all but the first are indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)
