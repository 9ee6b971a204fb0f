"""Where a local Prefect lives and how it is set: one folder, one address, nothing sent anywhere."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.processes import MARK, PART
from pipeline.errors import InputOutputError, OutputInUse
from pipeline.runtime.rows import printable

POOL = "resenha"
WORKER = "local"
"""Always the same name, so that Prefect shows one worker however often it is started."""
HOST = "127.0.0.1"
_OURS = ("PREFECT_API_", "PREFECT_SERVER_", "PREFECT_UI_", "PREFECT_PROFILE", "PREFECT__")
"""What decides where the server is and what it keeps is set here; the rest is the user's to set."""


@dataclass(frozen=True)
class Installation:
    """A server and a worker on this machine, and the folder that holds all they keep."""

    home: Path
    """PREFECT_HOME, absolute and without links: database, logs, locks."""
    port: int

    @classmethod
    def under(cls, artifacts: Path, port: int) -> Installation:
        """Give the installation that belongs to a folder of artifacts; the folder is made.

        Raises:
            InputOutputError: If the folder cannot be made.
        """
        home = artifacts.absolute() / "prefect"
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{printable(str(home))} cannot be made: {error.strerror}; name another one with ARTIFACTS="
            raise InputOutputError(msg) from error
        return cls(home.resolve(), port)

    @property
    def address(self) -> str:
        """Where a browser finds the user interface."""
        return f"http://{HOST}:{self.port}"

    def log(self, part: str) -> Path:
        """Give the file that a part's output goes to."""
        return self.home / f"{part}.log"

    @property
    def scratch(self) -> Path:
        """Where its processes keep what they mean to remove: Prefect leaves a folder for every killed run."""
        return self.home / "tmp"

    def sweep(self) -> None:
        """Remove what processes that are gone have left, and make room for new ones."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(exist_ok=True)

    def environment(self, part: str) -> dict[str, str]:
        """Give the environment of a part of the service: supervisor, server or worker."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        bypass = ",".join(filter(None, [mine.get("NO_PROXY") or mine.get("no_proxy"), HOST, "localhost"]))
        return {
            # Defaults of ours that the environment may overrule.
            "PREFECT_WORKER_QUERY_SECONDS": "3",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "resenha",
            # After 2, 4, 8 ... seconds, for four minutes: so long a run bears a server that restarts.
            "PREFECT_CLIENT_MAX_RETRIES": "7",
            "PREFECT_CLI_COLORS": "false",
            "PREFECT_CLI_WRAP_LINES": "false",
            **mine,
            "PREFECT_HOME": str(self.home),
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "PREFECT_API_URL": f"{self.address}/api",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.home / 'prefect.db'}",
            # In memory, a restart of the server would take a running flow's right to run away from it.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
            # There is no password, so no page of the internet may speak to it through a browser.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{self.address},http://localhost:{self.port}",
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
            "NO_PROXY": bypass,
            "no_proxy": bypass,
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.scratch),
            MARK: str(self.home),
            PART: part,
        }

    def answers(self) -> bool:
        """Tell whether a Prefect server answers there."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"{self.address}/api/health", timeout=2) as answer:
                return json.load(answer) is True
        except (OSError, ValueError):
            return False

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one service in this folder; the lock dies with its process.

        Raises:
            OutputInUse: If there is one already.
        """
        with (self.home / "service.lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"{printable(str(self.home))} is in use: a service runs there (`make stop` ends it)"
                raise OutputInUse(msg) from error
            yield

    def is_taken(self) -> bool:
        """Tell whether a service runs in this folder."""
        try:
            with self.lock():
                return False
        except OutputInUse:
            return True

    def write_state(self, state: dict[str, Any]) -> None:
        """Keep what the service says of itself; good as long as the lock is held."""
        temporary = self.home / ".service.json"
        temporary.write_text(json.dumps({"port": self.port, **state}), "utf-8")
        temporary.replace(self.home / "service.json")

    def read_state(self) -> dict[str, Any]:
        """Give what the service last said of itself; nothing where it never spoke."""
        try:
            state = json.loads((self.home / "service.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}
