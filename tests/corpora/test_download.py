from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.corpora.download import Limits, Remote, fetch
from pipeline.errors import DownloadError, InputOutputError
from tests.faults.cases import case

CONTENT = b"reviews " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Limits(attempts=3, timeout=0.5, pause=0.01)


class Server(ThreadingHTTPServer):
    """A web server that misbehaves on request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = 0
        self.failures = 0
        self.dripped = 0
        self.release = threading.Event()

    def remote(self, path: str, checksum: str = f"sha256:{SHA256}") -> Remote:
        return Remote("file.bin", f"http://127.0.0.1:{self.server_port}/{path}", checksum)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        answer: Callable[[], None] = getattr(self, self.path.strip("/").replace("-", "_"))
        answer()

    def whole(self) -> None:
        self.reply(200, CONTENT)

    def other(self) -> None:
        self.reply(200, CONTENT[:-1] + b"X")

    def short(self) -> None:
        self.reply(200, CONTENT[:100], length=len(CONTENT))

    def missing(self) -> None:
        self.reply(404, b"no")

    def broken(self) -> None:
        self.reply(500, b"no")

    def broken_once(self) -> None:
        self.reply(*((500, b"no") if self.server.requests == 1 else (200, CONTENT)))

    def loop(self) -> None:
        self.reply(302, b"", location="/loop")

    def drip(self) -> None:
        self.reply(200, b"", length=len(CONTENT))
        for number in range(200):
            self.wfile.write(CONTENT[number : number + 1])
            self.server.dripped += 1
            if self.server.release.wait(0.02):
                break

    def silent(self) -> None:
        self.server.release.wait(10)

    def reply(self, status: int, content: bytes, *, length: int | None = None, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.release.set()
        running.shutdown()
        thread.join()


@case("Pipeline", "a verified cached file")
def test_a_file_is_fetched_once_and_then_needs_no_network(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetch(server.remote("whole"), tmp_path, QUICK).read_bytes() == CONTENT
    assert server.requests == 1


@case("Pipeline", "a cached file that rotted")
def test_a_cached_file_that_rotted_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1] + b"X")
    assert fetch(server.remote("whole"), tmp_path, QUICK).read_bytes() == CONTENT


def test_md5_sums_are_understood_too(server: Server, tmp_path: Path) -> None:
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert fetch(server.remote("whole", f"md5:{md5}"), tmp_path, QUICK).is_file()


def test_a_server_that_recovers_is_asked_again(server: Server, tmp_path: Path) -> None:
    assert fetch(server.remote("broken-once"), tmp_path, QUICK).read_bytes() == CONTENT
    assert server.requests == 2


@pytest.mark.parametrize(
    ("path", "requests", "message"),
    [
        pytest.param("missing", 1, "HTTP 404", marks=case("Pipeline", "download: 404")),
        pytest.param("broken", 3, "HTTP 500", marks=case("Pipeline", "download: 500")),
        pytest.param(
            "short", 3, "broke off|came with the sha256", marks=case("Pipeline", "download: short body")
        ),
        pytest.param("other", 3, "came with the sha256", marks=case("Pipeline", "download: wrong checksum")),
        pytest.param("silent", 3, "timed out", marks=case("Pipeline", "download: time-out")),
        pytest.param("loop", None, "redirect", marks=case("Pipeline", "download: redirect loop")),
    ],
)
def test_a_failed_download_is_bounded_and_leaves_nothing(
    path: str, requests: int | None, message: str, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match=f"cannot be fetched: .*({message}).*ARCHIVE="):
        fetch(server.remote(path), tmp_path, QUICK)
    assert list(tmp_path.iterdir()) == []
    assert server.requests == requests if requests else server.requests < 50


@case("Pipeline", "download: time-out")
def test_a_body_that_drips_is_cut_off_at_the_deadline(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="more than .* bytes or 0 s"):
        fetch(server.remote("drip"), tmp_path, Limits(attempts=3, timeout=5, deadline=0.2, pause=0.01))
    server.release.set()
    assert server.dripped < 200
    assert list(tmp_path.iterdir()) == []


def test_an_endless_body_is_cut_off(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="more than 1,000 bytes"):
        fetch(server.remote("whole"), tmp_path, Limits(attempts=1, max_bytes=1000))
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_answers_nothing_says_what_to_do(tmp_path: Path) -> None:
    remote = Remote("file.bin", "http://127.0.0.1:1/file.bin", f"sha256:{SHA256}")
    with pytest.raises(DownloadError, match="refused.*Fetch it by other means"):
        fetch(remote, tmp_path, QUICK)


def test_a_full_disk_is_not_taken_for_a_bad_network(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputOutputError, match="No space left on device") as caught:
        fetch(server.remote("whole"), tmp_path, QUICK)
    assert not isinstance(caught.value, DownloadError)
    assert server.requests == 1
    assert list(tmp_path.iterdir()) == []
