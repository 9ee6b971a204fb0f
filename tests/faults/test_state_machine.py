"""A directory of scores through crashes, resumes, refusals and damage: never wrong, and whole in the end."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.errors import PlanError, ResenhaError, UsageError
from pipeline.runtime.durable import is_temporary
from pipeline.runtime.plan import WHOLE, Shard
from pipeline.runtime.sinks import OutputFormat
from tests.faults.directory_runs import (
    FILES,
    Choice,
    check_reference,
    contents,
    otherwise,
    score_into,
    write_inputs,
)
from tests.faults.killing import Watch, watched

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="looks at descriptors, as Linux shows them"
)
_IN_MEMORY = Path("/dev/shm")

CHOICES = st.builds(
    Choice,
    inputs=st.sampled_from(
        [
            ("a.csv",),
            ("a.csv", "b.jsonl", "c.txt"),
            ("cut.csv.gz", "blank.csv"),
            tuple(FILES)[::-1],
            tuple(FILES)[1:],
        ]
    ),
    output_format=st.sampled_from(OutputFormat),
    part_rows=st.sampled_from([1, 2, 3, 4, 50]),
    limit=st.sampled_from([None, None, 0, 1, 5]),
    shard=st.sampled_from([WHOLE, WHOLE, Shard(1, 2), Shard(2, 2)]),
)
ENDS = st.none() | st.integers(0, 1 << 16)
"""The step, of as many as there are, at which a run is killed."""


class Directory(RuleBasedStateMachine):
    """One output directory, and what may stand in it."""

    def __init__(self) -> None:
        super().__init__()
        self.here = Path.cwd()
        self.home = Path(tempfile.mkdtemp(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None))
        self.out, self.stash = self.home / "out", self.home / "stash"
        self.wholes: dict[Choice, tuple[dict[str, bytes], int]] = {}
        self.possible: list[Choice] = []
        """Runs of which one has left what is there."""
        self.damaged: set[str] = set()

    @initialize()
    def make_inputs(self) -> None:
        (self.home / "in").mkdir()
        os.chdir(self.home / "in")
        write_inputs(self.home / "in")

    def teardown(self) -> None:
        os.chdir(self.here)
        shutil.rmtree(self.home)

    def whole(self, choice: Choice) -> dict[str, bytes]:
        """Give what an uninterrupted run leaves, and see to it that it is right."""
        if choice not in self.wholes:
            reference = self.home / "reference"
            with watched(reference, self.stash) as watch:
                score_into(reference, choice)
            found = contents(reference)
            check_reference(found, choice)
            shutil.rmtree(reference)
            self.wholes[choice] = found, len(watch.steps)
        return self.wholes[choice][0]

    def score(self, choice: Choice, end: int | None = None, **asked: bool) -> Watch:
        self.whole(choice)
        stop_at = None if end is None else end % (self.wholes[choice][1] + 8)
        with watched(self.out, self.stash, stop_at) as watch:
            score_into(self.out, choice, **asked)
        return watch

    @property
    def planned(self) -> Choice | None:
        """The run whose plan is in the directory."""
        plan = contents(self.out).get("_plan.json")
        return next((each for each in self.possible if self.whole(each)["_plan.json"] == plan), None)

    def settle(self, watch: Watch, choice: Choice, power: int | None) -> None:
        """Take note of a run's end."""
        if watch.is_dead:
            if power is not None:
                watch.lose_power(random.Random(power))
            return
        assert contents(self.out) == self.whole(choice)
        self.possible, self.damaged = [choice], set()

    def refuse(self, kind: type[ResenhaError], choice: Choice, **asked: bool) -> None:
        """See a run refused that changes nothing."""
        before = contents(self.out)
        with pytest.raises(kind):
            score_into(self.out, choice, **asked)
        assert contents(self.out) == before

    @precondition(lambda self: not self.out.exists() or not self.possible)
    @rule(choice=CHOICES, end=ENDS, power=ENDS, resume=st.booleans())
    def start(self, choice: Choice, end: int | None, power: int | None, resume: bool) -> None:
        self.possible = [choice]
        self.settle(self.score(choice, end, resume=resume), choice, power)

    @precondition(lambda self: self.possible)
    @rule(choice=CHOICES, end=ENDS, power=ENDS)
    def start_anew(self, choice: Choice, end: int | None, power: int | None) -> None:
        self.possible.append(choice)
        self.settle(self.score(choice, end, overwrite=True), choice, power)

    @precondition(lambda self: self.planned)
    @rule(end=ENDS, power=ENDS)
    def resume(self, end: int | None, power: int | None) -> None:
        choice = self.planned
        assert choice
        try:
            watch = self.score(choice, end, resume=True)
        except ResenhaError:
            # What was damaged may be refused, never be passed over; put back, all is well.
            assert self.damaged
            self.mend(choice)
            watch = self.score(choice, end, resume=True)
        self.settle(watch, choice, power)

    def mend(self, choice: Choice) -> None:
        for name in self.damaged & set(self.whole(choice)):
            (self.out / name).write_bytes(self.whole(choice)[name])
        self.damaged = set()

    @precondition(lambda self: self.possible and self.out.exists() and not self.planned)
    @rule(end=ENDS, power=ENDS)
    def resume_before_a_plan(self, end: int | None, power: int | None) -> None:
        self.settle(self.score(self.possible[-1], end, resume=True), self.possible[-1], power)

    @precondition(lambda self: self.planned)
    @rule(number=st.integers(0, 1 << 16))
    def resume_otherwise(self, number: int) -> None:
        choice = self.planned
        assert choice
        others = otherwise(choice)
        self.refuse(PlanError, others[number % len(others)], resume=True)

    @precondition(lambda self: self.planned)
    @rule()
    def start_in_its_place(self) -> None:
        choice = self.planned
        assert choice
        self.refuse(UsageError, choice)

    @precondition(lambda self: self.planned)
    @rule(number=st.integers(0, 1 << 16), how=st.sampled_from(["grown", "touched", "gone", "shrunk"]))
    def change_an_input(self, number: int, how: str) -> None:
        choice = self.planned
        assert choice
        name = choice.inputs[number % len(choice.inputs)]
        path = Path(name)
        status, content = path.stat(), path.read_bytes()
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes({"grown": content + b"\n", "touched": content, "shrunk": content[:-1]}[how])
            is_same = path.read_bytes() == content
            os.utime(path, ns=(0, status.st_mtime_ns + (how == "touched" or is_same)))
        self.refuse(PlanError, choice, resume=True)
        path.write_bytes(content)
        os.utime(path, ns=(0, status.st_mtime_ns))

    @precondition(lambda self: self.planned)
    @rule(number=st.integers(0, 1 << 16), cut=st.none() | st.integers(0, 1 << 16))
    def damage(self, number: int, cut: int | None) -> None:
        """Delete or truncate something that is published."""
        names = sorted(name for name in contents(self.out) if "part-" in name)
        if names:
            path = self.out / names[number % len(names)]
            size = path.stat().st_size
            if cut is None:
                path.unlink()
            elif size:
                os.truncate(path, cut % size)
            self.damaged.add(path.name)

    @precondition(lambda self: self.planned and "part-" in str(list(contents(self.out))))
    @rule(resume=st.booleans())
    def lose_the_plan(self, resume: bool) -> None:
        """Parts without a plan are nothing that a run may take for its own."""
        choice, path = self.planned, self.out / "_plan.json"
        assert choice
        content = path.read_bytes()
        path.unlink()
        self.refuse(UsageError, choice, resume=resume)
        path.write_bytes(content)

    @precondition(lambda self: self.out.exists())
    @rule(number=st.integers(0, 3))
    def leave_something_unfinished(self, number: int) -> None:
        (self.out / f".resenha-{number:012x}.tmp").write_bytes(b"half a li")

    @precondition(lambda self: self.out.exists() and self.possible)
    @rule(overwrite=st.booleans())
    def find_something_foreign(self, overwrite: bool) -> None:
        (self.out / "notes.txt").touch()
        self.refuse(UsageError, self.possible[-1], resume=not overwrite, overwrite=overwrite)
        (self.out / "notes.txt").unlink()

    @invariant()
    def what_is_published_is_whole(self) -> None:
        found = {name: content for name, content in contents(self.out).items() if not is_temporary(name)}
        sound = {name: content for name, content in found.items() if name not in self.damaged}
        runs = [each for each in self.possible if sound.items() <= self.whole(each).items()]
        assert runs or not sound
        if "_SUCCESS" in found:
            assert any(found.keys() >= self.whole(each).keys() - self.damaged for each in runs)


def test_a_directory_is_never_wrong(is_long: bool) -> None:
    chosen = settings(
        max_examples=600 if is_long else 20,
        stateful_step_count=15,
        # To make an example smaller takes minutes; as it was found, it has few steps.
        phases=set(Phase) - {Phase.shrink},
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Directory, settings=chosen)
