from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pipeline.runtime.signals import DeferredSignals


class Answered(Exception):
    """What the handler before the block raises."""


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    def answer(number: int, _frame: object) -> None:
        raise Answered(number)

    before = {number: signal.signal(number, answer) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_behind_the_block(number: int) -> None:
    steps = []
    with pytest.raises(Answered, match=str(int(number))), DeferredSignals() as signals:
        os.kill(os.getpid(), number)
        steps.append(list(signals.came))
    assert steps == [[number]]


def test_the_first_is_answered_where_it_was_told_to_and_only_once() -> None:
    steps = []
    with pytest.raises(Answered, match=str(int(signal.SIGTERM))), DeferredSignals() as signals:
        signals.answer()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("deferred")
        signals.answer()
        steps.append("never")
    assert steps == ["deferred"]
    with pytest.raises(Answered):  # The handler from before is back.
        os.kill(os.getpid(), signal.SIGINT)


def test_after_an_answer_that_raises_nothing_signals_come_as_ever() -> None:
    answered = []
    signal.signal(signal.SIGTERM, lambda number, _frame: answered.append(number))
    with DeferredSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        signals.answer()
        assert answered == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGTERM)
        assert answered == [signal.SIGTERM] * 2
    assert answered == [signal.SIGTERM] * 2


def test_outside_the_main_thread_nothing_is_deferred() -> None:
    came = []

    def work() -> None:
        with DeferredSignals() as signals:
            signals.answer()
            came.append(signals.came)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert came == [[]]
