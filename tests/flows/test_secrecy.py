"""What a whole run, from server to scores, tells whom: no text and no secret is kept, nobody outside is asked."""

from __future__ import annotations

import csv
import ipaddress
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import TINY_RECIPE, write_tiny_corpus
from tests.flows.build_service import CANARY, BuildService

WORD = "canarywordinreviews"
"""Stands in reviews to learn from and to score."""
STRACE = shutil.which("strace")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not STRACE, reason="NOT RUN: strace is not there to see which addresses are asked for"
    ),
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> tuple[BuildService, Path]:
    """A service all of whose system calls on addresses were recorded, when it has built and scored."""
    folder = tmp_path_factory.mktemp("watched")
    trace = folder / "trace"
    # -D: what is started stays, and the tracer with it.
    recorded = [str(STRACE), "-D", "-f", "--seccomp-bpf", "-e", "trace=connect,bind,sendto", "-o", str(trace)]
    service = BuildService(folder / "service", before=recorded)
    try:
        write_tiny_corpus(folder)
        for name in ("train.csv", "test.csv"):
            rows = (folder / name).read_text().replace("actor", WORD)
            (folder / name).write_text(rows)
        (folder / "tiny.toml").write_text(TINY_RECIPE)
        given = {"recipe": str(folder / "tiny.toml"), "artifacts": str(folder / "artifacts")}
        assert service.await_end(service.begin("build-bundle/local", **given)) == "COMPLETED"
        with (folder / "in.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(
                [["text"], *([f"a good film {WORD}"] for _ in range(50)), [WORD], [""]]
            )
        wanted = {"inputs": [str(folder / "in.csv")], "artifacts": str(folder / "artifacts"), "part_rows": 10}
        assert service.await_end(service.begin("score-reviews/nightly", **wanted)) == "COMPLETED"
    finally:
        service.close()
    return service, trace


@pytest.mark.parametrize("secret", [CANARY, WORD])
def test_prefect_keeps_no_secret_and_no_text(watched: tuple[BuildService, Path], secret: str) -> None:
    home = watched[0].place.home
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert {"prefect.db", "server.log", "worker.log", "runs.log", "supervisor.log"} <= {
        each.name for each in kept
    }
    assert [path.name for path in kept if secret.encode() in path.read_bytes()] == []


def test_what_is_looked_for_would_be_found(watched: tuple[BuildService, Path]) -> None:
    """The pages and logs of these runs do lie there, as bytes that can be searched."""
    kept = b"".join(path.read_bytes() for path in watched[0].place.home.rglob("*") if path.is_file())
    for words in (b"largest difference of two scores", b"52 rows: 51 scored", b"epoch 3/3"):
        assert words in kept


def addresses(trace: Path, call: str) -> set[str]:
    """Give the internet addresses that a system call was made with."""
    found = set()
    for line in trace.read_text(errors="replace").splitlines():
        if re.search(rf"\b{call}\(", line):
            found |= set(re.findall(r'inet_addr\("([^"]+)"\)', line))
            found |= set(re.findall(r'inet_pton\(AF_INET6, "([^"]+)"', line))
    return found


@pytest.mark.parametrize("call", ["connect", "bind", "sendto"])
def test_only_this_machine_is_listened_on_and_spoken_to(
    watched: tuple[BuildService, Path], call: str
) -> None:
    found = addresses(watched[1], call)
    assert found or call == "sendto"
    assert {each for each in found if not ipaddress.ip_address(each).is_loopback} == set()


def test_a_connection_elsewhere_would_be_seen(tmp_path: Path) -> None:
    program = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    trace = tmp_path / "trace"
    command = [str(STRACE), "-f", "-e", "trace=connect", "-o", str(trace), "python3", "-c", program]
    subprocess.run(command, check=False)
    assert addresses(trace, "connect") == {"192.0.2.1"}
