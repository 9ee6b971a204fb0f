"""Work as Prefect tasks: names, retries and states, the same for stages and for scoring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Failed

from pipeline.chain import STAGES, call_stage
from pipeline.errors import ResenhaError

# Stages know themselves what is finished and still valid, so Prefect caches nothing. A refusal stays a
# refusal and a download bounds its own attempts, so only what the operating system failed at without
# saying why is tried once more. Only the stage that waits for others has a time limit.
_TIME_LIMITS = {"acquire": 3600.0}
"""Seconds."""


def _is_momentary(_task: object, _task_run: object, state: State[Any]) -> bool:
    return isinstance(state.data, OSError)


def as_task(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
    """Make a task whose refusals are states with a message, not tracebacks.

    Returns:
        What runs the task in the flow run that calls it, and raises the refusal there.
    """

    def run(*arguments: Any) -> Any:
        try:
            return verb(*arguments)
        except ResenhaError as error:
            return Failed(message=str(error), data=error)

    made: Callable[..., Any] = task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=1,
        retry_condition_fn=_is_momentary,
        timeout_seconds=_TIME_LIMITS.get(name),
    )(run)

    def call(*arguments: Any) -> Any:
        state = made(*arguments, return_state=True)
        if isinstance(state.data, ResenhaError):
            raise state.data
        return state.result()

    return call


_TASKS = {name: as_task(name, lambda *arguments, name=name: call_stage(name, *arguments)) for name in STAGES}


def run_stage_as_task(name: str, *arguments: Any) -> Any:
    """Run a stage of the chain as a task of the flow run that calls this.

    Raises:
        ResenhaError: What the stage raised.
    """
    return _TASKS[name](*arguments)
