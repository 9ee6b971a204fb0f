"""A person's word before ``artifacts/current`` is switched: the run is suspended until it is given.

A suspended run has no process, holds no slot and survives any restart. When somebody resumes it, the flow
starts from its top: the stages find their work done and valid, and the candidate is compared again. Where
that gives the comparison that the person has seen, the answer is read; else it is asked anew.
"""

from __future__ import annotations

from typing import Literal

from prefect import runtime, suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from flows.pages import gate_lines
from pipeline.errors import GateError, UsageError
from pipeline.reports import Comparison

_PATIENCE = 7 * 24 * 3600
"""Seconds after which a run that nobody resumed fails."""
_KEEP = "keep the present one"


class Approval(RunInput):
    """The form behind the button Resume."""

    decision: Literal["promote", "keep the present one"] = Field(
        default="keep the present one", description="What artifacts/current is to name from now on."
    )
    reason: str = Field(default="", description="Kept in the log.")


def check_askable() -> None:
    """Refuse a run that comes from no deployment: once suspended, nobody could take it up again.

    Raises:
        UsageError: If it is one.
    """
    if runtime.deployment.id is None:
        msg = "approval needs a run of a deployment: `make serve`, `make deploy`, `prefect deployment run`"
        raise UsageError(msg)


def ask_a_person(comparison: Comparison) -> None:
    """Suspend the run until a person has decided on a comparison.

    Raises:
        GateError: If the person wants to keep the present bundle.
    """
    form = Approval.with_initial_data(description=_question(comparison))
    # Another comparison is another question.
    key = f"promote-{comparison.candidate[:12]}-over-{(comparison.promoted or 'nothing')[:12]}"
    answer = suspend_flow_run(wait_for_input=form, timeout=_PATIENCE, key=key)
    if answer.decision != "promote":
        msg = f"not promoted: a person decided to {_KEEP}{f': {answer.reason}' if answer.reason else ''}"
        raise GateError(msg)


def _question(comparison: Comparison) -> str:
    promoted = comparison.promoted[:12] if comparison.promoted else "nothing"
    lines = [
        f"# Promote {comparison.candidate[:12]} in the place of {promoted}?",
        "",
        f"{str(comparison)[0].upper()}{str(comparison)[1:]}.",
    ]
    if comparison.only_candidate_right is not None:
        lines += ["", f"Only the candidate is right about {comparison.only_candidate_right:,} of them,"]
        lines += [f"only the promoted one about {comparison.only_promoted_right:,}."]
    return "\n".join([*lines, "", *gate_lines(comparison.gates)])
