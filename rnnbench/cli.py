"""The command line: one module of ``rnnbench.commands`` a command, imported when it is called."""

import importlib
import pkgutil
import sys

import click

from rnnbench import commands
from rnnbench.errors import InputError


class Commands(click.Group):
    def list_commands(self, context):
        names = (m.name for m in pkgutil.iter_modules(commands.__path__))
        return sorted(name for name in names if not name.startswith("_"))

    def get_command(self, context, name):
        if name not in self.list_commands(context):
            return None
        return importlib.import_module(f"rnnbench.commands.{name}").command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rnnbench")
def main():
    """Is a recurrent network right, and how fast is it?

    \b
    rnnbench cells               list the cells, or explain one
    rnnbench verify              check every kernel against the reference
    rnnbench export DIR          write golden cases
    rnnbench validate torch      run another implementation on them
    rnnbench compare             time this machine against other libraries
    rnnbench speed               time the CPU kernels alone, and ways of training
    rnnbench gradients           list the gradient algorithms, or explain one
    rnnbench gradflow            see gradients vanish and explode, and gates
    """


def run() -> None:
    """Entry point: a user's mistake is one line on stderr and exit code 2; Ctrl-C is 130."""
    try:
        main(standalone_mode=False)
    except InputError as error:
        click.echo(f"rnnbench: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("rnnbench: interrupted", err=True)
        sys.exit(130)
