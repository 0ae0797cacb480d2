"""Options that several commands share."""

import click

from rnnbench.report import check_writable


def _checked(context, parameter, path):
    check_writable(path)  # before the work, not after it
    return path


json_option = click.option(
    "--json", "json_path", metavar="FILE", callback=_checked, help="Also write everything as JSON."
)
