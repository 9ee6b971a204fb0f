"""Scores parts of a plan in another process than the one that fixed it, wherever that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BundleError, PlanError
from pipeline.runtime.bundle import open_bundle
from pipeline.runtime.output_folder import PLAN, OutputFolder
from pipeline.runtime.part_runs import PartReader, score_part
from pipeline.runtime.plan import BATCH_SHARES, Plan, check_plan
from pipeline.runtime.plan_lock import share_plan
from pipeline.runtime.reading import Place
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.summary import Summary


@dataclass(frozen=True)
class Assignment:
    """What a process has to know to score parts of a plan."""

    folder: str
    plan: str
    """Digest."""
    bundle: str
    """Path."""
    bundle_digest: str
    threads: int


class PartScorer:
    """Scores parts; the plan and the bundle are opened once.

    Raises:
        PlanError: If the folder holds another plan, or other versions of packages are at work here.
        BundleError: If the bundle is another one.
        InputOutputError: If the plan cannot be read.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._digest = assignment.plan
        self.folder = OutputFolder(Path(assignment.folder))
        record = self.folder.read_plan()
        if record is None or record["digest"] != self._digest:
            found = "another" if record else "no"
            msg = f"{self.folder.shown} has {found} plan by now: another run began there"
            raise PlanError(msg)
        self._plan = Plan.from_record(record)
        check_plan(record, self._plan.to_record())
        bundle = open_bundle(Path(assignment.bundle))
        if bundle.digest != assignment.bundle_digest:
            planned = assignment.bundle_digest
            msg = f"the bundle has the digest {bundle.digest[:12]}…, {planned[:12]}… was planned"
            raise BundleError(msg)
        threshold = self._plan.write.threshold
        self._scorer = Scorer(bundle, threads=assignment.threads, threshold=threshold, shares=BATCH_SHARES)

    def score(self, number: int, start: Place, watch: Callable[[Summary], object]) -> Summary:
        """Score a part and publish it.

        Args:
            number: Of the part, from 0.
            start: Where its first row stands.
            watch: Shown the part's counts as they grow; what it raises ends the part.

        Raises:
            PlanError: If the plan was taken away, or an input has changed.
            ResenhaError: As scoring and writing do.
        """
        with share_plan(self.folder.path / PLAN, self._digest, number):
            reader = PartReader(self.folder, self._plan, start)
            part = reader.part(number, self._plan.rows_of_part(number))
            if part is None:
                msg = f"part {number} has no row where the plan has some; an input has changed"
                raise PlanError(msg)
            return score_part(self.folder, self._plan, self._scorer, reader, part, watch)
