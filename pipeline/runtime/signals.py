"""Signals that wait until they can be answered without leaving something half-done."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredSignals:
    """Collects the SIGINT and SIGTERM that come within a block; to be used as a context.

    Python answers a signal between any two steps of the main thread, also where a library holds a lock
    that its own way out will ask for. The first that came is answered, by whatever handler there was
    before, when ``answer`` is called and at the block's end. Outside the main thread, which no signal
    reaches, nothing is deferred.
    """

    def __init__(self) -> None:
        self.came: list[int] = []
        """Numbers of the signals that wait to be answered."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in _SIGNALS}
        return self

    def __exit__(self, *_error: object) -> None:
        self._restore()
        self.answer()

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.came.append(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def answer(self) -> None:
        """Answer the first signal that came, if one did; later ones come as ever."""
        if self.came:
            first = self.came[0]
            self.came.clear()
            self._restore()
            signal.raise_signal(first)
