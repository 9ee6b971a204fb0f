"""The command ``resenha``: data on standard output, everything else on standard error."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from pipeline.cli.bundles import inspect, verify
from pipeline.cli.drift import drift
from pipeline.cli.merge import merge
from pipeline.cli.promotion import history, promote, rollback
from pipeline.cli.score import score
from pipeline.cli.train import train
from pipeline.cli.tune import tune
from pipeline.errors import InputOutputError, InterruptedRun, ResenhaError
from pipeline.runtime.rows import printable_message

_READER_GONE = 141
"""128 + SIGPIPE, what a shell reports of a program whose reader closed the pipe."""
_LEFT_WHOLE = "no output file was left half-written, and a directory of parts goes on with --resume"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="resenha")
def resenha() -> None:
    """Score reviews with a proven recurrent network, on any machine with a CPU.

    \b
    Examples:
      resenha score reviews.csv > scores.jsonl
      resenha inspect
      resenha verify artifacts/current
      resenha drift scored/_summary.json
    """


resenha.add_command(score)
resenha.add_command(merge)
resenha.add_command(inspect)
resenha.add_command(verify)
resenha.add_command(drift)
resenha.add_command(history)
resenha.add_command(promote)
resenha.add_command(rollback)
resenha.add_command(train)
resenha.add_command(tune)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit status."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status; errors become one line on stderr."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        status = _invoke(sys.argv[1:] if arguments is None else list(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = _report(f"interrupted; {_LEFT_WHOLE}", InterruptedRun.exit_status)
    except _Terminated:
        status = _report(f"terminated; {_LEFT_WHOLE}", 128 + signal.SIGTERM)
    except BrokenPipeError:
        status = _READER_GONE
    except ResenhaError as error:
        status = _report(str(error), error.exit_status)
    except OSError as error:
        status = _report(f"input or output failed: {error}", InputOutputError.exit_status)
    if status != 0:
        _silence_stdout()
    return status


def _invoke(arguments: list[str]) -> int:
    """Run a command without click's own handling of errors, which turns a closed pipe into status 1."""
    try:
        with resenha.make_context("resenha", arguments) as context:
            result = resenha.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else 0


class _Terminated(BaseException):
    """SIGTERM, raised where the program was, so that temporary files are cleaned up."""


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _report(message: str, exit_status: int) -> int:
    click.echo(f"resenha: {printable_message(message)}", err=True)
    return exit_status


def _silence_stdout() -> None:
    """Let the interpreter's last flush of standard output go nowhere instead of to a traceback."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
