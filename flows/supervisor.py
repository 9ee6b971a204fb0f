"""The process that keeps a local server and worker running, and lays the ghosts; `flows.service` starts it.

``python -m flows.supervisor HOME PORT DESCRIPTOR`` answers on the descriptor with one line, ``up`` or why
not, and closes it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from flows.installation import HOST, POOL, WORKER, Installation
from flows.processes import end, started_by
from pipeline.errors import InputOutputError, ResenhaError, UsageError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_PATIENCE = {"run": 60.0, "worker": 20.0, "server": 20.0}
"""Seconds between SIGTERM and SIGKILL; training stops at the end of a batch."""
_UP_WITHIN = 180.0
"""Seconds; a first start makes the database, which takes a slow machine a minute."""
_GHOSTS_EVERY = 10.0
_QUICK_DEATH = 10.0
"""A part that lived longer, in seconds, is started again at once."""
_QUICK_DEATHS = 5
_LOG = logging.getLogger("resenha.service")


@dataclass
class Part:
    """The server or the worker: a process that is started again when it dies."""

    name: str
    command: list[str]
    place: Installation
    process: subprocess.Popen[bytes] | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When it was last started."""
    quick_deaths: int = 0
    due: float = 0.0
    """When it may be started again, by the monotonic clock."""
    word: str = "starting"
    """up, or what is the matter, for people to read."""

    def start(self) -> None:
        """Start the process, in a group of its own, so that a terminal's Ctrl-C is not for it."""
        self.since = datetime.now(UTC)
        with self.place.log(self.name).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *self.command],
                env=self.place.environment(self.name),
                cwd=self.place.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.word = "up"

    def died(self) -> bool:
        """Note a death since the last look; the next start is put off, or given up after too many."""
        if self.process is None or (status := self.process.poll()) is None:
            return False
        self.process = None
        lived = (datetime.now(UTC) - self.since).total_seconds()
        self.quick_deaths = self.quick_deaths + 1 if lived < _QUICK_DEATH else 0
        how = f"ended with status {status} after {lived:.0f} s"
        if self.quick_deaths >= _QUICK_DEATHS:
            self.word = (
                f"given up: {how}, for the {_QUICK_DEATHS}th time; {self.place.log(self.name)} says why"
            )
            self.due = float("inf")
        else:
            self.word = f"{how}, is started again"
            self.due = time.monotonic() + (2**self.quick_deaths - 1)
        _LOG.warning("%s %s", self.name, self.word)
        return True

    def is_due(self) -> bool:
        """Tell whether it is dead and may be started again."""
        return self.process is None and time.monotonic() >= self.due


class Supervisor:
    """A server, a worker, and what has to be done so that both go on."""

    def __init__(self, place: Installation) -> None:
        self.place = place
        self.server = Part("server", ["server", "start", "--host", HOST, "--port", str(place.port)], place)
        worker = ["worker", "start", "--pool", POOL, "--type", "process", "--name", WORKER]
        self.worker = Part("worker", [*worker, "--install-policy", "never"], place)
        self.is_stopping = False
        self._ghosts_due = 0.0

    def bring_up(self) -> None:
        """Start both and wait until they work.

        Raises:
            UsageError: If another program has the port.
            InputOutputError: If one of them dies, or does not work in time.
        """
        self._tell()
        end_all(self.place)
        self.place.sweep()
        refuse_taken_port(self.place.port)
        self.server.start()
        self._wait_for(self.server, self.place.answers)
        self.lay_ghosts()
        self.worker.start()
        self._wait_for(self.worker, self._is_worker_there)
        self._tell()

    def _wait_for(self, part: Part, is_working: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _UP_WITHIN
        while not is_working():
            if self.is_stopping:
                msg = "stopped before it was up"
                raise ResenhaError(msg)
            if part.died() or time.monotonic() > deadline:
                msg = f"the {part.name} does not come up:\n{last_lines(self.place.log(part.name))}"
                raise InputOutputError(msg)
            time.sleep(0.2)

    def _is_worker_there(self) -> bool:
        with self._client() as client, suppress(Exception):  # Not there yet, for whatever reason.
            found = client.read_workers_for_work_pool(POOL)
            return any(
                one.name == WORKER
                and one.last_heartbeat_time
                and one.last_heartbeat_time >= self.worker.since
                for one in found
            )
        return False

    def keep_up(self) -> None:
        """Start again what died and lay ghosts, until a signal says to stop."""
        while not self.is_stopping:
            for part in (self.server, self.worker):
                if part.died():
                    self._tell()
                if part.is_due():
                    self.lay_ghosts()
                    part.start()
                    self._tell()
            if time.monotonic() >= self._ghosts_due:
                self.lay_ghosts()
            time.sleep(0.5)

    def lay_ghosts(self) -> None:
        """Lay ghosts if the server answers; else there is another time."""
        self._ghosts_due = time.monotonic() + _GHOSTS_EVERY
        if not self.place.answers():
            return
        from flows.ghosts import Worker, lay_ghosts

        since = self.worker.since if self.worker.process else datetime.now(UTC)
        try:
            with self._client() as client:
                for run in lay_ghosts(client, Worker(self.place.home, POOL, WORKER, since)):
                    _LOG.warning("the run %s (%s) was a ghost and is marked as crashed", run.name, run.id)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with one look, the next one comes
            _LOG.warning("ghosts could not be laid, in %.0f s again: %r", _GHOSTS_EVERY, error)

    def take_down(self) -> None:
        """End the worker's runs, the worker and the server, in an order in which all can report their end."""
        end_all(self.place, before_server=self.lay_ghosts)

    def _tell(self) -> None:
        self.place.write_state(
            {"process": os.getpid(), "server": self.server.word, "worker": self.worker.word}
        )

    @staticmethod
    def _client() -> SyncPrefectClient:
        from prefect.client.orchestration import get_client

        return get_client(sync_client=True)


def end_all(place: Installation, *, before_server: Callable[[], None] = lambda: None) -> None:
    """End all that the service in a folder consists of, except its supervisor.

    A worker that is told to stop kills its runs at once, and one that goes on begins the next run when one
    ends. So it is halted until its runs were told, have tidied up and reported that they were stopped.
    Where no server is left, they would try to report until they were killed: they are killed at once.
    """
    patience = _PATIENCE["run"] if started_by(place.home, ["server"]) else 0.0
    for worker in started_by(place.home, ["worker"]):
        with suppress(ProcessLookupError):
            os.kill(worker.number, signal.SIGSTOP)
    end(place.home, "run", patience=patience)
    end(place.home, "worker", "run", patience=_PATIENCE["worker"])
    before_server()
    end(place.home, "server", patience=_PATIENCE["server"])


def refuse_taken_port(port: int) -> None:
    """Raise UsageError if a program listens on the port."""
    with socket.socket() as probe:
        # As the server does: connections that have just ended are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            msg = f"port {port} of {HOST} cannot be had ({error.strerror}): name another one with PORT="
            raise UsageError(msg) from error


def last_lines(log: Path, count: int = 15) -> str:
    """Give the end of a log, indented, below its path."""
    lines = log.read_text("utf-8", "replace").splitlines()[-count:] if log.exists() else []
    return "\n".join([f"  {log} ends with", *(f"    {line}" for line in lines)])


def main(home: str, port: str, descriptor: str) -> int:
    """Run a service until SIGTERM; its log is standard error."""
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form, stream=sys.stderr)
    _LOG.setLevel(logging.INFO)
    supervisor = Supervisor(Installation(Path(home), int(port)))

    def stop(*_: object) -> None:
        supervisor.is_stopping = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    with os.fdopen(int(descriptor), "w", encoding="utf-8") as asker:
        try:
            _serve(supervisor, asker)
        except ResenhaError as error:
            _LOG.error("%s", error)
            _answer(asker, f"{error.exit_status} {error}")
            return error.exit_status
    return 0


def _serve(supervisor: Supervisor, asker: TextIO) -> None:
    with supervisor.place.lock():
        try:
            supervisor.bring_up()
            _LOG.info("up at %s", supervisor.place.address)
            _answer(asker, "0 up")
            supervisor.keep_up()
        finally:
            supervisor.take_down()
            _LOG.info("stopped")


def _answer(asker: TextIO, text: str) -> None:
    # It was answered already, or nobody waits for it any more.
    with suppress(OSError, ValueError):
        asker.write(text)
        asker.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
