"""``make serve``, ``make stop`` and ``make status``: a local Prefect server with a worker.

``python -m flows.service start|stop|status``. What is started stays until it is stopped: a supervisor
(see ``flows.supervisor``) without a terminal, a server and a worker.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from flows.installation import POOL, Installation
from flows.processes import end, started_by
from flows.supervisor import end_all
from pipeline.errors import InterruptedRun, ResenhaError, UsageError
from pipeline.runtime.rows import printable, printable_message

_NOT_UP = 3
"""Exit status of ``status`` where not everything is up."""
_STOPS_WITHIN = 150.0
"""Seconds; the sum of what the supervisor grants worker, runs and server, and some."""
_IN_USE = 7


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Start, stop and look at a Prefect server with a worker on this machine.

    \b
    Examples:
      python -m flows.service start --port 4300
      python -m flows.service stop
    """


def _options(command: Callable[..., None]) -> Callable[..., None]:
    path = click.Path(path_type=Path, file_okay=False)
    artifacts = click.option(
        "--artifacts",
        type=path,
        default=Path("artifacts"),
        show_default=True,
        help="Holds the folder prefect.",
    )
    port = click.option(
        "--port",
        type=click.IntRange(1, 65535),
        default=4200,
        show_default=True,
        help="Where the server listens.",
    )
    return artifacts(port(command))


@main.command()
@_options
def start(artifacts: Path, port: int) -> None:
    """Start server and worker, and wait until both work."""
    place = Installation.under(artifacts, port)
    if place.is_taken():
        _greet(_await_other(place), "runs already")
        return
    click.echo(f"starting a Prefect server on {place.address} and a worker ...", err=True)
    status, _, answer = _start_supervisor(place).partition(" ")
    if status == str(_IN_USE):
        _greet(_await_other(place), "runs already")
    elif status == "0":
        _greet(place, "runs")
    else:
        click.echo(f"resenha: {printable_message(answer)}", err=True)
        sys.exit(int(status))


def _start_supervisor(place: Installation) -> str:
    """Start a supervisor without a terminal, and give its answer: an exit status and words."""
    ours, its = os.pipe()
    with place.log("supervisor").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "flows.supervisor", str(place.home), str(place.port), str(its)],
            env=place.environment("supervisor"),
            cwd=place.home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[its],
            start_new_session=True,
        )
    os.close(its)
    with os.fdopen(ours, encoding="utf-8") as answers:
        try:
            answer = answers.read()
        except KeyboardInterrupt:
            supervisor.terminate()
            supervisor.wait()
            raise
    if not answer.startswith("0"):
        supervisor.wait()  # Only then is nothing left.
    return answer or f"1 the supervisor died; {place.log('supervisor')} says why"


def _await_other(place: Installation) -> Installation:
    """Give the installation that runs in the same folder, when it is up."""
    while place.is_taken():
        state = place.read_state()
        if {state.get("server"), state.get("worker")} != {"starting"} and "port" in state:
            return Installation(place.home, state["port"])
        time.sleep(0.2)
    msg = f"another start in {printable(str(place.home))} failed; {place.log('supervisor')} says why"
    raise ResenhaError(msg)


def _greet(place: Installation, words: str) -> None:
    click.echo(f"Prefect {words}, on this machine only, without analytics.")
    click.echo(f"  open      {place.address}")
    logs = ", ".join(str(place.log(part)) for part in ("supervisor", "server", "worker", "runs"))
    click.echo(f"  logs      {logs}")
    click.echo(f"  prefect   PREFECT_API_URL={place.address}/api  (for its own commands)")
    click.echo("  look      make status")
    click.echo("  end       make stop")


@main.command()
@_options
def deploy(artifacts: Path, port: int) -> None:
    """Register the deployments of prefect.yaml, in the folder that this is called in, with the server."""
    place = Installation.under(artifacts, port)
    place = Installation(place.home, place.read_state().get("port", port) if place.is_taken() else port)
    if not place.answers():
        msg = f"no Prefect server answers on {place.address}: start one with `make serve`"
        raise UsageError(msg)
    folder = Path.cwd()
    settings = {"PWD": str(folder), "RESENHA_ARTIFACTS": str(artifacts.absolute())}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    ended = subprocess.run(
        command,
        env=place.environment("deploy") | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        msg = f"Prefect did not take {folder / 'prefect.yaml'}:\n{ended.stdout}"
        raise ResenhaError(msg)
    for name in re.findall("Deployment '([^']+)'", ended.stdout):
        click.echo(f"deployed    {name}")
    click.echo(f"  look      {place.address}/deployments")
    click.echo(f"  run       export PREFECT_API_URL={place.address}/api DO_NOT_TRACK=1")
    click.echo("            .venv/bin/prefect deployment run build-bundle/local --watch")


@main.command()
@_options
def stop(artifacts: Path, port: int) -> None:
    """End what was started, the worker's runs included, and nothing else."""
    place = Installation.under(artifacts, port)
    supervisors = started_by(place.home, ["supervisor"])
    if not (supervisors or place.is_taken() or started_by(place.home, ["server", "worker", "run"])):
        click.echo(f"nothing runs in {printable(str(place.home))}")
        return
    click.echo("stopping: the worker with its runs, then the server ...", err=True)
    for process in supervisors:
        with suppress(ProcessLookupError):
            os.kill(process.number, signal.SIGTERM)
    _await_release(place)
    with place.lock():
        end(place.home, "supervisor", patience=10.0)  # It has let the lock go, and is about to end.
        end_all(place)  # What outlived a supervisor that was killed.
    click.echo("stopped")


def _await_release(place: Installation) -> None:
    deadline = time.monotonic() + _STOPS_WITHIN
    while place.is_taken():
        if time.monotonic() > deadline:
            supervisor = place.read_state().get("process")
            msg = (
                f"the service in {printable(str(place.home))} does not stop within {_STOPS_WITHIN:.0f} s:"
                f" see {place.log('supervisor')}, kill process {supervisor} and stop again"
            )
            raise ResenhaError(msg)
        time.sleep(0.2)


@main.command()
@_options
def status(artifacts: Path, port: int) -> None:
    """Show server, worker and runs; the exit status is 3 where not everything is up."""
    place = Installation.under(artifacts, port)
    is_taken = place.is_taken()
    state = place.read_state() if is_taken else {}
    place = Installation(place.home, state.get("port", port))
    strays = [] if is_taken else started_by(place.home, ["server", "worker", "run"])
    answers = is_taken and place.answers()
    rows = [
        ("server", state.get("server", "down"), f"{place.address}{'' if answers else ' does not answer'}"),
        ("worker", state.get("worker", "down"), f"pool {POOL}"),
        *(_runs_in_progress(place) if answers else []),
        *((one.part, "left over", f"process {one.number}: `make stop` ends it") for one in strays),
    ]
    for row in rows:
        click.echo(f"{row[0]:8}{row[1]:12}{row[2]}")
    is_up = answers and state.get("server") == state.get("worker") == "up"
    sys.exit(0 if is_up else _NOT_UP)


def _runs_in_progress(place: Installation) -> list[tuple[str, Any, str]]:
    os.environ.update(place.environment("status"))
    from prefect.client.orchestration import get_client

    from flows.ghosts import read_unfinished

    with get_client(sync_client=True) as client:
        runs = read_unfinished(client)
        flows = {run.flow_id: client.read_flow(run.flow_id).name for run in runs}
    return [
        (
            "run",
            run.state_name,
            printable(f"{flows[run.flow_id]} {run.name}, since {run.state.timestamp:%F %T}"),
        )
        for run in runs
        if run.state
    ]


def run() -> None:
    """Run the command; refusals are one line and an exit status."""
    try:
        main()
    except ResenhaError as error:
        click.echo(f"resenha: {printable_message(str(error))}", err=True)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        click.echo("resenha: interrupted; `make status` says what runs", err=True)
        sys.exit(InterruptedRun.exit_status)


if __name__ == "__main__":
    run()
