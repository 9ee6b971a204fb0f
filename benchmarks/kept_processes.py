"""Processes that stay, each with TensorFlow set up in its own way, and work when it is their turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from pipeline.quiet_tensorflow import import_tensorflow_quietly

Works = Mapping[str, Callable[[], Any]]
"""What a process can do, by name; what comes of it is small."""


@dataclass(frozen=True)
class Kept:
    """A process that waits for its turns."""

    pool: ProcessPoolExecutor
    names: list[str]
    """What it can do."""

    def start(self, name: str) -> Future[Any]:
        """Let it do something, and do not wait for it."""
        return self.pool.submit(_run, name)

    def run(self, name: str) -> Any:
        """Let it do something from beginning to end, and give what came of it."""
        return self.start(name).result()


@contextmanager
def keep_process(
    begin: Callable[..., Works], *arguments: Any, is_deterministic: bool, threads: int | None = None
) -> Iterator[Kept]:
    """Start a process in which TensorFlow is as it is wanted, and let it begin.

    Args:
        begin: A function of a module's top level, which gives what there is to do.
        arguments: For ``begin``.
        is_deterministic: Whether as in the project's own training; plain Keras is not.
        threads: Of the process; None: as many as TensorFlow takes.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(set_up, is_deterministic, threads).result()
        names = pool.submit(_begin, begin, arguments).result()
        yield Kept(pool, names)


def set_up(is_deterministic: bool, threads: int | None) -> None:
    """Set TensorFlow up in a process that has not used it yet."""
    import_tensorflow_quietly()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    import tensorflow as tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    if is_deterministic:
        tf.config.experimental.enable_op_determinism()


_works: dict[str, Callable[[], Any]] = {}
"""In a kept process: what it can do."""


def _begin(begin: Callable[..., Works], arguments: tuple[Any, ...]) -> list[str]:
    _works.update(begin(*arguments))
    return list(_works)


def _run(name: str) -> Any:
    return _works[name]()
