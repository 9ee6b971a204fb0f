"""A run that is killed, or loses power, at any of the steps in which it changes a folder.

Within ``watched`` each call that changes the folder is a step. At the step that was chosen the run
ends as if by SIGKILL: half a write may be done, and nothing that it does from there on, to clean up
say, changes anything.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from pipeline.runtime import durable

_link = os.link
_CHANGING = ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "truncate")


class Killed(BaseException):
    """The run ends here."""


class Watch:
    """Counts the steps of a run, ends it at one of them, and knows what power loss would leave.

    Args:
        folder: The one that is watched; it need not be there.
        stop_at: Number of the step, from 0, that is not done any more; None: all are.
        stash: An empty folder on the same disk, for what may have to come back.
    """

    def __init__(self, folder: Path, stash: Path, stop_at: int | None = None) -> None:
        self._folder = os.path.realpath(folder)
        self._stash = stash
        self._stop_at = stop_at
        self.steps: list[str] = []
        self.is_dead = False
        self._unsynced: set[int] = set()
        """Files, by their inodes, with content that no fsync has written."""
        self._pasts: dict[str, list[Path | None]] = {}
        """Of each name that changed since the folder was synced: what it stood for, oldest first."""

    def covers(self, path: Any) -> bool:
        """Tell whether a path is the folder's, or lies in it."""
        if isinstance(path, int):
            path = f"/proc/self/fd/{path}"
            path = os.readlink(path) if os.path.lexists(path) else ""
        real = os.path.realpath(os.fsdecode(path)) if path else ""
        return self._folder in (real, real.rpartition("/")[0])

    def step(self, name: str, path: Any, first: Callable[[], object] = lambda: None) -> None:
        """Let a step be done, or end the run, having done the ``first`` half of it.

        Raises:
            Killed: At the step that was chosen.
            OSError: Behind it.
        """
        if self.is_dead:
            raise OSError(errno.EIO, "the run was killed")
        if len(self.steps) == self._stop_at:
            self.is_dead = True
            first()
            raise Killed
        self.steps.append(f"{name} {path}")

    def before(self, *paths: Any) -> None:
        """Remember what names stand for that are to change."""
        for path in map(os.fsdecode, paths):
            if self.covers(path) and path != self._folder:
                self._pasts.setdefault(path, [self._kept(path)])

    def after(self, *paths: Any) -> None:
        """Remember what names that have changed stand for by now."""
        for path in map(os.fsdecode, paths):
            if path in self._pasts:
                self._pasts[path].append(self._kept(path))

    def _kept(self, path: str) -> Path | None:
        if not os.path.lexists(path):
            return None
        kept = self._stash / str(Path(path).stat().st_ino)
        if not kept.exists():
            _link(path, kept)
        return kept

    def written(self, descriptor: int) -> None:
        """Note that a file holds what no fsync has written."""
        self._unsynced.add(os.fstat(descriptor).st_ino)

    def synced(self, descriptor: int) -> None:
        """Note an fsync: of a file its content, of the folder its names."""
        self._unsynced.discard(os.fstat(descriptor).st_ino)
        if os.path.realpath(f"/proc/self/fd/{descriptor}") == self._folder:
            self._pasts.clear()

    def lose_power(self, source: random.Random) -> None:
        """Let each name stand for what it stood for at any time since the folder was synced, and cut files."""
        for path, past in self._pasts.items():
            kept = source.choice(past)
            Path(path).unlink(missing_ok=True)
            if kept:
                os.link(kept, path)
        for entry in folder.iterdir() if (folder := Path(self._folder)).is_dir() else ():
            status = entry.stat()
            if status.st_ino in self._unsynced:
                os.truncate(entry, source.randint(0, status.st_size))


@contextmanager
def watched(folder: Path, stash: Path, stop_at: int | None = None) -> Iterator[Watch]:
    """Watch what a run does to a folder; a run that is killed ends the block without an exception."""
    shutil.rmtree(stash, ignore_errors=True)
    stash.mkdir()
    watch = Watch(folder, stash, stop_at)
    with ExitStack() as stack:
        _watch_calls(watch, stack)
        try:
            yield watch
        except BaseException:
            if not watch.is_dead:
                raise
    # What a killed process held is closed by the kernel, which lets go of the lock.
    for descriptor in [*Path("/proc/self/fd").iterdir()] if watch.is_dead else ():
        if os.path.realpath(descriptor) == os.path.realpath(folder):
            os.close(int(descriptor.name))


def _watch_calls(watch: Watch, stack: ExitStack) -> None:
    patch = mock.patch.object
    for name in _CHANGING:
        stack.enter_context(patch(os, name, _changing(watch, name, getattr(os, name))))
    stack.enter_context(patch(os, "fsync", _syncing(watch, os.fsync)))
    stack.enter_context(patch(os, "open", _opening(watch, os.open)))
    for module in (io, builtins):
        stack.enter_context(patch(module, "open", _opening_by_mode(watch, module.open)))
    made, write = durable._NamedFile.__init__, durable._NamedFile.write
    stack.enter_context(patch(durable._NamedFile, "__init__", _making(watch, made)))
    stack.enter_context(patch(durable._NamedFile, "write", _writing(watch, write)))


def _changing(watch: Watch, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def change(*paths: Any, **options: Any) -> Any:
        named = [path for path in paths if isinstance(path, str | bytes | os.PathLike)]
        if not any(map(watch.covers, named)):
            return call(*paths, **options)
        watch.step(name, named[-1])
        watch.before(*named)
        result = call(*paths, **options)
        watch.after(*named)
        return result

    return change


def _syncing(watch: Watch, call: Callable[[int], None]) -> Callable[[int], None]:
    def sync(descriptor: int) -> None:
        if watch.covers(descriptor):
            watch.step("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
            watch.synced(descriptor)
        else:
            call(descriptor)

    return sync


def _opening(watch: Watch, call: Callable[..., int]) -> Callable[..., int]:
    def open_(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and watch.covers(path):
            watch.step("open", path)
        return call(path, flags, *rest, **options)

    return open_


def _opening_by_mode(watch: Watch, call: Callable[..., Any]) -> Callable[..., Any]:
    def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if set(mode) & set("wax+") and not isinstance(file, int) and watch.covers(file):
            msg = f"{file} is opened in a way whose writes nobody watches"
            raise AssertionError(msg)
        return call(file, mode, *rest, **options)

    return open_


def _making(watch: Watch, call: Callable[..., None]) -> Callable[..., None]:
    def make(self: Any, temporary: Path, path: Path) -> None:
        if not watch.covers(temporary):
            call(self, temporary, path)
            return
        watch.step("create", temporary)
        watch.before(temporary)
        call(self, temporary, path)
        watch.after(temporary)

    return make


def _writing(watch: Watch, call: Callable[..., int]) -> Callable[..., int]:
    def write(self: Any, data: Any, /) -> int:
        if not watch.covers(self.fileno()):
            return call(self, data)
        watch.written(self.fileno())
        watch.step("write", self._path, first=lambda: call(self, bytes(data)[: len(data) // 2]))
        return call(self, data)

    return write
