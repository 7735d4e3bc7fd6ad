"""The command ``repnet-pde``. Heavy imports wait until a command needs them."""

import os
import sys
import warnings
from typing import TextIO

import click

from ..errors import InputError, RepNetPDEError
from ..version import __version__
from . import campaigns, problems, runs
from .tables import INTERRUPTED_CODE


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, package_name="repnet-pde")
def cli() -> None:
    """Solve multiscale and high-frequency PDEs with RepNet, and compare with a reference."""


for _command in (
    problems.list_command,
    problems.show,
    runs.plan,
    runs.solve,
    runs.identify,
    runs.resume,
    runs.plot,
    runs.export,
    campaigns.validate,
    campaigns.compare,
    campaigns.report,
):
    cli.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: an error is one line on standard error and an exit code (2 invalid input, 1 failure, 130 Ctrl-C)."""
    warnings.showwarning = _show_warning
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="deepxde")  # NumPy's, about its polygons
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="repnet-pde", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except InputError as error:
        return _fail(str(error), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED_CODE)
    except RepNetPDEError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # avoids an error message at exit
        return 1
    except (OSError, MemoryError) as error:
        return _fail(f"{type(error).__name__}: {error}", 1)
    except click.exceptions.Exit as error:
        return error.exit_code


def _fail(message: str, code: int) -> int:
    print("repnet-pde: " + " ".join(message.split()), file=sys.stderr)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"repnet-pde: warning: {' '.join(str(message).split())}", file=sys.stderr)
