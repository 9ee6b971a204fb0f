from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from pipeline.errors import InputOutputError, OutputInUse
from pipeline.ranges import Choices, Interval, Range
from pipeline.tuning.study import Outcome, Proposal, Study, Tried, open_study

RANGES: dict[str, Range] = {
    "network.units": Interval(4, 64, is_log=True),
    "network.heads": Choices((["mean"], ["mean", "max"])),
    "training.learning_rate": Interval(0.0005, 0.01, is_log=True),
}
DEFAULT = {"network.units": 32, "network.heads": ["mean"], "training.learning_rate": 0.001}


@contextmanager
def opened(
    folder: Path, ranges: dict[str, Range] = RANGES, *, seed: int = 1, **default: Any
) -> Iterator[Study]:
    with open_study(folder, ranges, default or DEFAULT, seed) as study:
        yield study


def keep(study: Study, proposal: Proposal, accuracy: float | None = None) -> None:
    outcome = Outcome.STOPPED if accuracy is None else Outcome.TRAINED
    study.keep(proposal.trial, Tried(proposal.number, proposal.settings, outcome, 1.0, accuracy=accuracy))


def propose(study: Study) -> Proposal:
    proposal = study.propose()
    assert proposal is not None
    return proposal


def run_through(study: Study, count: int) -> list[dict[str, Any]]:
    """Give candidates their turns, each third one stopped, and list their settings."""
    for number in range(count):
        proposal = propose(study)
        rate = proposal.settings["training.learning_rate"]
        keep(study, proposal, None if number % 3 == 2 else 0.9 - rate)
    return [each.settings for each in study.tried]


def test_the_first_candidate_is_the_recipe_as_it_stands(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        first = propose(study)
        assert (first.number, first.settings) == (1, DEFAULT)
        assert first.trial.params == DEFAULT | {"network.heads": '["mean"]'}


def test_the_first_candidate_may_lie_outside_the_ranges(tmp_path: Path) -> None:
    outside = {"network.units": 3, "network.heads": "last", "training.learning_rate": None}
    with open_study(tmp_path, RANGES, outside, 1) as study:
        first = propose(study)
        assert first.settings == outside
        assert first.trial.params == {}
        keep(study, first, 0.5)
        assert propose(study).settings.keys() == outside.keys()


def test_proposals_lie_within_the_ranges_and_are_short(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        for settings in run_through(study, 12)[1:]:
            assert all(settings[name] in RANGES[name] for name in RANGES)
            assert isinstance(settings["network.units"], int)
            assert len(f"{settings['training.learning_rate']:.9g}".strip("0.")) <= 3
        # Each was new at once.
        assert not study._study.get_trials(states=(TrialState.FAIL,))


def test_a_proposal_never_comes_twice_and_they_end_with_the_ranges(tmp_path: Path) -> None:
    few: dict[str, Range] = {"network.units": Choices((8, 16, 32)), "network.heads": Choices((True, False))}
    with opened(tmp_path, few, **{"network.units": 4, "network.heads": True}) as study:
        found = []
        while (proposal := study.propose()) is not None:
            found.append(json.dumps(proposal.settings))
            keep(study, proposal, 0.5)
        assert len(found) == len(set(found)) == 1 + 6


def test_the_same_seed_proposes_the_same_and_another_one_something_else(tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        with opened(tmp_path / name, seed=seed) as study:
            found.append(run_through(study, 9))
    assert found[0] == found[1]
    assert found[0][1:] != found[2][1:]


def test_what_was_not_told_is_proposed_again_whenever_the_study_is_opened(tmp_path: Path) -> None:
    """As after a kill: before every candidate the study is closed with one that was only proposed."""
    with opened(tmp_path / "whole") as study:
        whole = run_through(study, 9)
    for _ in range(9):
        with opened(tmp_path / "killed") as study:
            proposal = propose(study)
            proposal.trial.report(0.5, 1)
        with opened(tmp_path / "killed") as study:
            assert propose(study).settings == proposal.settings
            proposal = propose(study)
            rate, is_third = proposal.settings["training.learning_rate"], proposal.number % 3 == 0
            keep(study, proposal, None if is_third else 0.9 - rate)
    with opened(tmp_path / "killed") as study:
        assert [each.settings for each in study.tried] == whole


KILL = """
import os, signal, sys
from pathlib import Path
from pipeline.tuning.study import open_study
from tests.tuning.test_study import DEFAULT, RANGES
with open_study(Path(sys.argv[1]), RANGES, DEFAULT, 1) as study:
    enqueue = study._study.enqueue_trial
    study._study.enqueue_trial = lambda fixed: (enqueue(fixed), os.kill(os.getpid(), signal.SIGKILL))
    study.propose()
"""


def test_a_kill_between_the_two_steps_of_a_proposal_changes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILL, str(tmp_path / "killed")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -signal.SIGKILL
    with opened(tmp_path / "whole") as whole, opened(tmp_path / "killed") as killed:
        assert len(killed._study.get_trials(states=(TrialState.WAITING,))) == 1
        assert run_through(killed, 4) == run_through(whole, 4)


def test_what_was_tried_and_spent_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    tried = Tried(
        1, DEFAULT, Outcome.TRAINED, 2.5, kilobytes=450.1, accuracy=0.8, seconds_per_epoch=0.5, right="110"
    )
    with opened(tmp_path) as study:
        assert study.spent == 0
        study.keep(propose(study).trial, tried)
        study.note_spent(12.5)
    with opened(tmp_path) as study:
        assert study.tried == [tried]
        assert study.spent == 12.5


def test_half_a_line_and_a_lock_that_a_crash_left_are_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as study:
        run_through(study, 2)
    journal = tmp_path / "study.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"op_code":5,"trial_id"')
    (tmp_path / "study.jsonl.lock").symlink_to(journal)

    def wait(_seconds: float) -> None:
        pytest.fail("nobody holds it who could be waited for")

    monkeypatch.setattr("time.sleep", wait)
    with opened(tmp_path) as study:
        assert len(run_through(study, 1)) == 3
    with opened(tmp_path) as study:
        assert len(study.tried) == 3


def test_two_cannot_search_in_one_study_at_once(tmp_path: Path) -> None:
    with (
        opened(tmp_path),
        pytest.raises(OutputInUse, match="is in use: another `resenha tune`"),
        opened(tmp_path),
    ):
        pass


def test_a_study_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        run_through(study, 2)
    journal = tmp_path / "study.jsonl"
    journal.write_text("nonsense\n" + journal.read_text())
    with pytest.raises(InputOutputError, match="remove it to search anew") as refused, opened(tmp_path):
        pass
    assert str(journal) in str(refused.value)
    journal.unlink()
    with opened(tmp_path) as study:
        assert study.tried == []
