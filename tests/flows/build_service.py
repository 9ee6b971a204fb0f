"""A server and a worker for tests, with every deployment, and one more whose runs can be made to stand still."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State

from flows.installation import HOST, Installation
from flows.processes import started_by

ROOT = Path(__file__).parents[2]
CANARY = "canary-7f3a9c51e2"
"""Stands in an environment variable that the worker was started with."""


class BuildService:
    """A service of the tests' own.

    Args:
        folder: Holds its state.
        before: Words of a command that starts the command which starts it.
    """

    def __init__(self, folder: Path, before: Sequence[str] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self._before = before
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        self.place = Installation.under(folder, port)
        self.command("start")
        self.client = SyncPrefectClient(f"{self.place.address}/api").__enter__()
        self.command("deploy")
        self._deploy_stalled(folder)

    def close(self) -> None:
        """End it all."""
        self.client.__exit__(None, None, None)
        self.command("stop")

    def command(self, verb: str) -> None:
        """Call ``make serve`` and its like."""
        options = ["--artifacts", str(self.place.home.parent), "--port", str(self.place.port)]
        command = [sys.executable, "-m", "flows.service", verb, *options]
        if verb == "start":
            command = [*self._before, *command]
        environment = {**os.environ, "RESENHA_TEST_SECRET": CANARY}
        # A file, not a pipe: a tracer stays, and would hold it open.
        with tempfile.TemporaryFile("w+") as said:
            ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=said, stderr=said, check=False)
            said.seek(0)
            assert ended.returncode == 0, said.read()

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Call the command ``prefect``."""
        return subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT,
            env=self.place.environment("test"),
            capture_output=True,
            text=True,
            check=False,
        )

    def _deploy_stalled(self, folder: Path) -> None:
        page = {
            "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
            "deployments": [
                {
                    "name": "test",
                    "entrypoint": "tests.flows.stalled_build.stalled_build",
                    "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
                    "work_pool": {"name": "resenha", "job_variables": {"working_dir": str(ROOT)}},
                }
            ],
        }
        (folder / "prefect.yaml").write_text(json.dumps(page))
        ended = self.prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(folder / "prefect.yaml"))
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def begin(self, deployment: str, **parameters: Any) -> UUID:
        """Start a run and give its id."""
        found = self.client.read_deployment_by_name(deployment)
        return self.client.create_flow_run_from_deployment(found.id, parameters=parameters).id

    def state_of(self, run: UUID) -> State[Any]:
        """Give the state that a run is in."""
        state = self.client.read_flow_run(run).state
        assert state is not None
        return state

    def await_end(self, run: UUID) -> str:
        """Wait for a run's end and give the type of its last state."""
        await_that(lambda: self.state_of(run).is_final())
        return self.state_of(run).type.value

    def unfinished(self) -> int:
        """Count the runs that are not over, or that wait to begin."""
        states = ["RUNNING", "PENDING", "CANCELLING", "SCHEDULED"]
        chosen = FlowRunFilter.model_validate({"state": {"type": {"any_": states}}})
        return len(self.client.read_flow_runs(flow_run_filter=chosen))

    def kill(self, part: str) -> None:
        """End the server or the worker by SIGKILL, and wait until another one is there."""
        (killed,) = started_by(self.place.home, [part])
        os.kill(killed.number, signal.SIGKILL)

        def is_another_there() -> bool:
            found = [each.number for each in started_by(self.place.home, [part])]
            return bool(found) and killed.number not in found and self.place.answers()

        await_that(is_another_there)


def await_that(holds: Callable[[], Any], seconds: float = 150) -> None:
    """Wait until something holds; a server that is away meanwhile comes back."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)
