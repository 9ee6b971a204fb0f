"""Downloads that end: bounded in attempts, time and size, checked, and whole or absent."""

from __future__ import annotations

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DownloadError
from pipeline.runtime.durable import durable_file

_log = logging.getLogger("resenha")
_CHUNK = 1 << 18
_WORTH_RETRYING = range(500, 600)


@dataclass(frozen=True)
class Remote:
    """A file with a public address and a published checksum."""

    name: str
    url: str
    checksum: str
    """``sha256:…`` or ``md5:…``."""


@dataclass(frozen=True)
class Limits:
    """What one download may take."""

    attempts: int = 3
    timeout: float = 15.0
    """Seconds without a byte."""
    deadline: float = 900.0
    """Seconds for all attempts together."""
    pause: float = 2.0
    """Seconds before the second attempt; twice as many before each further one."""
    max_bytes: int = 1 << 30


def has_checksum(path: Path, checksum: str) -> bool:
    """Tell whether a file has a checksum of the form ``sha256:…`` or ``md5:…``."""
    kind, _, expected = checksum.partition(":")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest() == expected.lower()


def fetch(remote: Remote, folder: Path, limits: Limits | None = None) -> Path:
    """Give the path of a remote file in ``folder``, fetched only if it is not there unharmed.

    Raises:
        DownloadError: If it cannot be had; the message says what was tried and what to do.
    """
    limits = limits or Limits()
    path = folder / remote.name
    if path.is_file():
        if has_checksum(path, remote.checksum):
            return path
        _log.warning("%s is not what was downloaded (its checksum changed): fetching it again", path)
    folder.mkdir(parents=True, exist_ok=True)
    stop_at = time.monotonic() + limits.deadline
    problem = ""
    for attempt in range(1, limits.attempts + 1):
        try:
            _download(remote, path, limits, stop_at)
        except (OSError, DownloadError) as error:  # Not a full disk: that is an InputOutputError.
            problem = _describe(error)
            _log.info("%s: attempt %d of %d: %s", remote.url, attempt, limits.attempts, problem)
            if not _is_worth_retrying(error) or attempt == limits.attempts:
                break
            time.sleep(min(limits.pause * 2 ** (attempt - 1), max(0.0, stop_at - time.monotonic())))
        else:
            return path
    msg = (
        f"{remote.url} cannot be fetched: {problem}. Nothing was kept. Fetch it by other means and "
        f"name it with ARCHIVE=… (or --archive)"
    )
    raise DownloadError(msg)


def _describe(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return " ".join(f"HTTP {error.code} {error.reason}".split())
    return str(getattr(error, "reason", error))


def _is_worth_retrying(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _WORTH_RETRYING
    return True


def _download(remote: Remote, path: Path, limits: Limits, stop_at: float) -> None:
    kind, _, expected = remote.checksum.partition(":")
    digest, size = hashlib.new(kind, usedforsecurity=False), 0
    request = urllib.request.Request(remote.url, headers={"User-Agent": "resenha"})
    with urllib.request.urlopen(request, timeout=limits.timeout) as response, durable_file(path) as out:
        while chunk := _read_chunk(response):
            digest.update(chunk)
            size += len(chunk)
            if size > limits.max_bytes or time.monotonic() > stop_at:
                msg = f"more than {limits.max_bytes:,} bytes or {limits.deadline:.0f} s"
                raise DownloadError(msg)
            out.write(chunk)
        if digest.hexdigest() != expected:
            found = digest.hexdigest()
            msg = f"{size:,} bytes came with the {kind} {found[:12]}…, {expected[:12]}… is published"
            raise DownloadError(msg)


def _read_chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        # read() would wait for a whole chunk, and a server that drips for the deadline many times over.
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        msg = f"the transfer broke off: {error}"
        raise DownloadError(msg) from error
