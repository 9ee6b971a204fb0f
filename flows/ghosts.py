"""Ghosts: runs that Prefect takes for alive although their process is gone.

A ghost holds the slot of its deployment's concurrency limit, so it keeps every later run waiting. Prefect
itself notices a dead run only where its worker lives to tell, or by heartbeats that stay away.

The service of ``make serve`` lays ghosts by itself; ``python -m flows.ghosts`` is for other workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from prefect.automations import AutomationCore, EventTrigger, Posture, ResourceSpecification
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Crashed

from flows.attendance import forget_all_but, is_attended
from flows.processes import runs_with_a_process
from pipeline.runtime.rows import printable

ADVICE = "its process is gone; run it again: finished stages are not done again"
AUTOMATION = "resenha: runs whose heartbeat stopped"
_UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
"""Paused and suspended runs need no process while they wait, and hold no slot."""
_STARTING = timedelta(minutes=2)
"""How long a living worker may take from accepting a run to starting its process."""


@dataclass(frozen=True)
class Worker:
    """The one worker that this machine's runs come from."""

    home: Path
    pool: str
    name: str
    since: datetime
    """When its process was started: what an earlier one had accepted and not begun, nobody will begin."""


def lay_ghosts(client: SyncPrefectClient, worker: Worker) -> list[FlowRun]:
    """Mark this machine's runs without a process as crashed, or as cancelled where that was asked for.

    A run is judged by the lock that its process holds (see ``flows.attendance``), and until that is taken
    by whether there is a process that a worker started for it. Runs of other workers are left alone.

    Returns:
        The runs that were marked.
    """
    # Processes are looked at after the runs were read: a process that is gone then does not come back.
    runs = read_unfinished(client)
    living = runs_with_a_process()
    ghosts = [run for run in runs if is_ghost(run, worker, living)]
    laid = [run for run in ghosts if _lay(client, run)]
    forget_all_but(worker.home, {str(run.id) for run in runs} - {str(run.id) for run in laid})
    return laid


def read_unfinished(client: SyncPrefectClient) -> list[FlowRun]:
    """Give the runs that are running, about to, or about to stop: the first 200 of them."""
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": _UNFINISHED}}})
    )


def is_ghost(run: FlowRun, worker: Worker, living: Iterable[str]) -> bool:
    """Tell whether a run's process is gone.

    Args:
        run: A run in one of the states in which it needs a process, or is about to get one.
        worker: The worker of this machine.
        living: Runs that have a process on this machine.
    """
    attended = is_attended(worker.home, str(run.id))
    if attended is not None and run.state is not None and not run.state.is_pending():
        return not attended
    labels = run.labels or {}
    if run.work_pool_name != worker.pool or labels.get("prefect.worker.name", worker.name) != worker.name:
        return False
    if attended or str(run.id) in living or run.state is None:
        return False
    return run.state.timestamp < worker.since or datetime.now(UTC) - run.state.timestamp > _STARTING


def _lay(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Give a ghost and the tasks it left running a last state; one that came in between stays."""
    is_cancelling = run.state is not None and run.state.is_cancelling()
    state: State[Any] = Cancelled(message=ADVICE) if is_cancelling else Crashed(message=ADVICE)
    if client.set_flow_run_state(run.id, state).status != "ACCEPT":
        return False
    for task_run in client.read_task_runs(
        flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": [run.id]}}),
        task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": _UNFINISHED}}}),
    ):
        client.set_task_run_state(task_run.id, Crashed(message="its process is gone"), force=True)
    return True


def ensure_zombie_automation(
    client: SyncPrefectClient, *, silence: timedelta = timedelta(seconds=90)
) -> None:
    """Let the server crash the runs of any machine whose heartbeat stops; nothing is done where it does.

    For servers whose workers are elsewhere. The runs have to send heartbeats thrice as often as
    ``silence`` is long (PREFECT_FLOWS_HEARTBEAT_FREQUENCY, in seconds, at least 30). Where a machine
    sleeps, its runs are taken for dead.

    Args:
        client: A client of the server.
        silence: Time without a heartbeat after which a run is taken for dead, at least ten seconds.
    """
    if client.read_automations_by_name(AUTOMATION):
        return
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed")}
    # A run that waits for an approval sends no heartbeat either.
    waits = {"prefect.flow-run.Suspended", "prefect.flow-run.Paused"}
    client.create_automation(
        AutomationCore(
            name=AUTOMATION,
            description="No heartbeat and no end: the process, or its machine, is gone.",
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.heartbeat", *ends, *waits},
                match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=silence,
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=f"no heartbeat any more: {ADVICE}")],
        )
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """See to it that runs whose process is gone hold nobody up, on the server that PREFECT_API_URL names."""


@main.command()
@click.argument("pool")
@click.argument("worker")
def lay(pool: str, worker: str) -> None:
    """Mark what a WORKER of this machine left in POOL as crashed; to be called before it is started."""
    place = Worker(get_current_settings().home, pool, worker, datetime.now(UTC))
    with get_client(sync_client=True) as client:
        for run in lay_ghosts(client, place):
            click.echo(f"was a ghost: {printable(run.name)} ({run.id})")


@main.command()
def watch() -> None:
    """Let the server crash runs whose heartbeat stays away for 90 s."""
    with get_client(sync_client=True) as client:
        ensure_zombie_automation(client)
    click.echo(f"the server has the automation {AUTOMATION!r}")


if __name__ == "__main__":
    main()
