"""A real server with a real worker, and everything that can be killed killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Pending, Running

from flows.ghosts import ADVICE, AUTOMATION, ensure_zombie_automation, read_unfinished
from flows.installation import HOST, POOL, WORKER, Installation
from flows.processes import started_by

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PARTS = ("supervisor", "worker", "run", "server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.service", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,  # Server and worker may take three minutes each on a busy machine.
    )


def kill(place: Installation, *parts: str, what: signal.Signals = signal.SIGKILL) -> None:
    for process in started_by(place.home, parts):
        with suppress(ProcessLookupError):
            os.kill(process.number, what)


def wait_for(condition: Callable[[], object], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


@dataclass
class Service:
    """A service that runs, with a deployment of which one run may be at work at a time."""

    place: Installation
    client: SyncPrefectClient
    deployment: UUID
    silent: UUID
    """A run elsewhere, whose heartbeat was heard once."""

    def arguments(self) -> list[str]:
        return ["--artifacts", str(self.place.home.parent), "--port", str(self.place.port)]

    def kill(self, *parts: str) -> None:
        kill(self.place, *parts)

    def accept(self) -> UUID:
        """Do what a worker does first of all with a run; it takes the one slot."""
        later = datetime.now(UTC) + timedelta(hours=1)
        run = self.client.request(
            "POST",
            "/deployments/{id}/create_flow_run",
            path_params={"id": self.deployment},
            json={"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": later.isoformat()}}},
        ).json()["id"]
        self.client.set_flow_run_state(run, Pending())
        assert self.slots_taken() == 1
        return UUID(run)

    def begin(self, seconds: float, *, attends: bool = True) -> FlowRun:
        parameters = {"seconds": seconds, "attends": attends}
        return self.client.create_flow_run_from_deployment(self.deployment, parameters=parameters)

    def read(self, run: UUID) -> FlowRun:
        return self.client.read_flow_run(run)

    def begin_and_wait(self, seconds: float = 60.0, *, attends: bool = True) -> UUID:
        run = self.begin(seconds, attends=attends).id
        wait_for(lambda: self.read(run).state_type == StateType.RUNNING)
        if attends:
            wait_for((self.place.home / "alive" / str(run)).exists)
        return run

    def end_of(self, run: UUID) -> tuple[str | None, str]:
        wait_for(lambda: (state := self.read(run).state) and state.is_final())
        state = self.read(run).state
        assert state is not None
        return state.name, state.message or ""

    def slots_taken(self) -> int | None:
        limit = self.client.read_deployment(self.deployment).global_concurrency_limit
        return limit.active_slots if limit else None

    def expect_the_next_to_run(self) -> None:
        assert self.end_of(self.begin(0).id)[0] == "Completed"
        assert self.slots_taken() == 0
        ours = [run for run in read_unfinished(self.client) if run.deployment_id == self.deployment]
        assert not ours


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # A blank in a path has broken many a program.
    place = Installation.under(tmp_path_factory.mktemp("a service"), free_port())
    try:
        result = command("start", "--artifacts", str(place.home.parent), "--port", str(place.port))
        assert result.returncode == 0, result.stderr
        assert place.address in result.stdout
        with SyncPrefectClient(f"{place.address}/api") as client:
            yield Service(place, client, deploy(client), go_silent(client))
    finally:
        # The supervisor first, so that nothing is started again.
        for part in PARTS:
            kill(place, part)


def deploy(client: SyncPrefectClient) -> UUID:
    return client.create_deployment(
        flow_id=client.create_flow_from_name("sleeping"),
        name="sleeping",
        entrypoint="tests/flows/sleeping_flow.py:sleeping",
        # As in prefect.yaml: without it, every run begins with a copy of the whole folder.
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
        work_pool_name=POOL,
        concurrency_limit=1,
    )


def go_silent(client: SyncPrefectClient) -> UUID:
    for _ in range(2):
        ensure_zombie_automation(client, silence=timedelta(seconds=10))
    flow = client.create_flow_from_name("elsewhere")
    run = UUID(client.request("POST", "/flow_runs/", json={"flow_id": str(flow)}).json()["id"])
    client.set_flow_run_state(run, Running(), force=True)
    beat = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
    }
    client.request("POST", "/events", json=[beat])
    return run


def test_a_second_start_says_that_it_runs(service: Service) -> None:
    result = command("start", *service.arguments()[:2], "--port", str(free_port()))
    assert result.returncode == 0
    assert "runs already" in result.stdout
    assert service.place.address in result.stdout
    assert len(started_by(service.place.home, ["supervisor"])) == 1
    assert len(started_by(service.place.home, ["server"])) == 1


def test_a_port_that_is_taken_is_named_and_nothing_is_left(service: Service, tmp_path: Path) -> None:
    result = command("start", "--artifacts", str(tmp_path), "--port", str(service.place.port))
    assert result.returncode == 2
    assert f"port {service.place.port} of 127.0.0.1 cannot be had" in result.stderr
    assert "PORT=" in result.stderr
    assert not started_by(tmp_path / "prefect", PARTS)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_everything_is_up_listens_on_this_machine_only_and_counts_nobody(service: Service) -> None:
    run = service.begin_and_wait(4.0)
    result = command("status", *service.arguments())
    assert result.returncode == 0, result.stdout
    assert re.search(r"^server  up .*http://127\.0\.0\.1", result.stdout, re.MULTILINE)
    assert re.search(r"^worker  up ", result.stdout, re.MULTILINE)
    assert re.search(r"^run     Running     sleeping ", result.stdout, re.MULTILINE)
    processes = started_by(service.place.home, PARTS)
    assert {process.part for process in processes} == set(PARTS)
    addresses = [address for process in processes for address in listening_addresses(process.number)]
    assert f"0100007F:{service.place.port:04X}" in addresses
    assert {address.partition(":")[0] for address in addresses} == {"0100007F"}
    for process in processes:
        environment = Path(f"/proc/{process.number}/environ").read_bytes().lower().split(b"\0")
        assert {b"do_not_track=1", b"prefect_server_analytics_enabled=false"} <= set(environment)
    settings = service.client.request("GET", "/admin/settings").json()
    assert settings["server"]["analytics_enabled"] is False
    assert service.end_of(run)[0] == "Completed"


def listening_addresses(process: int) -> Iterator[str]:
    links = [os.readlink(path) for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink()]
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in links:
                yield fields[1]


def test_a_flow_that_is_killed_is_crashed(service: Service) -> None:
    run = service.begin_and_wait()
    service.kill("run")
    assert service.end_of(run)[0] == "Crashed"
    service.expect_the_next_to_run()


@pytest.mark.parametrize("attends", [True, False], ids=["attended", "not attended"])
def test_a_worker_and_its_flow_that_are_killed_leave_no_ghost(service: Service, attends: bool) -> None:
    run = service.begin_and_wait(attends=attends)
    service.kill("worker", "run")
    assert service.end_of(run) == ("Crashed", ADVICE)
    service.expect_the_next_to_run()
    workers = service.client.read_workers_for_work_pool(POOL)
    assert [worker.name for worker in workers] == [WORKER]


def test_a_flow_outlives_its_worker(service: Service) -> None:
    run = service.begin_and_wait(4.0)
    service.kill("worker")
    assert service.end_of(run)[0] == "Completed"
    service.expect_the_next_to_run()


def test_a_run_that_a_killed_worker_had_accepted_leaves_no_ghost(service: Service) -> None:
    run = service.accept()
    service.kill("worker")
    assert service.end_of(run) == ("Crashed", ADVICE)
    service.expect_the_next_to_run()


def test_other_services_lay_ghosts_by_a_command(service: Service) -> None:
    run = service.accept()
    assert ghosts(service, "watch") == f"the server has the automation {AUTOMATION!r}\n"
    service.client.update_flow_run_labels(run, {"prefect.worker.name": "elsewhere"})
    assert ghosts(service, "lay", POOL, WORKER) == ""
    assert re.fullmatch(rf"was a ghost: [\w-]+ \({run}\)\n", ghosts(service, "lay", POOL, "elsewhere"))
    assert service.end_of(run) == ("Crashed", ADVICE)
    assert service.slots_taken() == 0


def ghosts(service: Service, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "flows.ghosts", *arguments],
        cwd=ROOT,
        env={**service.place.environment("test"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_run_whose_heartbeat_stopped_is_crashed_by_the_server(service: Service) -> None:
    assert len(service.client.read_automations_by_name(AUTOMATION)) == 1
    state, message = service.end_of(service.silent)
    assert state == "Crashed"
    assert message.startswith("no heartbeat any more")


def test_a_flow_outlives_its_server_and_keeps_its_slot(service: Service) -> None:
    run = service.begin_and_wait(7.0)
    state = service.read(run).state
    assert state is not None
    service.kill("server")
    wait_for(service.place.answers)
    # The flow does so every four minutes, and ends itself where it cannot.
    lease = state.state_details.deployment_concurrency_lease_id
    assert lease is not None
    service.client.renew_concurrency_lease(lease, 300)
    next_one = service.begin(0.0).id
    assert service.end_of(run)[0] == "Completed"
    assert service.end_of(next_one)[0] == "Completed"
    end, start = service.read(run).end_time, service.read(next_one).start_time
    assert end is not None
    assert start is not None
    assert start >= end
    assert service.slots_taken() == 0


def test_after_everything_was_killed_a_start_lays_the_ghost(service: Service) -> None:
    run = service.begin_and_wait()
    service.kill("supervisor")
    result = command("status", *service.arguments())
    assert result.returncode == 3
    assert re.search(r"^server  left over   process \d+: `make stop` ends it$", result.stdout, re.MULTILINE)
    service.kill("worker", "run", "server")
    assert command("start", *service.arguments()).returncode == 0
    name, message = service.end_of(run)
    # Where the start took long, the automation of silent runs may have come first, with the same advice.
    assert name == "Crashed"
    assert message.endswith(ADVICE)
    service.expect_the_next_to_run()


def test_a_start_ends_what_a_killed_supervisor_left(service: Service) -> None:
    left = {process.number for process in started_by(service.place.home, PARTS)}
    service.kill("supervisor")
    assert command("start", *service.arguments()).returncode == 0
    assert not left & {process.number for process in started_by(service.place.home, PARTS)}


def test_stop_ends_a_run_with_a_word_and_everything_with_it(service: Service) -> None:
    service.begin_and_wait()
    bystander = subprocess.Popen(["sleep", "60"], env={**os.environ, "PREFECT_HOME": str(service.place.home)})
    try:
        assert command("stop", *service.arguments()).stdout == "stopped\n"
        assert not started_by(service.place.home, PARTS)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    log = (service.place.home / "runs.log").read_text()
    assert "Finished in state Crashed('Execution was aborted by a termination signal.')" in log
    assert command("stop", *service.arguments()).stdout.startswith("nothing runs in ")
    assert command("status", *service.arguments()).returncode == 3
