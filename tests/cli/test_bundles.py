"""``resenha inspect``, ``resenha verify``, and the help of every command."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pytest

from pipeline import cli
from pipeline.runtime.bundle import (
    CARD,
    GOLDEN,
    MANIFEST,
    MODEL,
    FileRecord,
    open_bundle,
    read_manifest,
)
from pipeline.runtime.golden_rows import read_golden, write_golden
from pipeline.runtime.scorer import Scorer
from pipeline.runtime.self_test import ensure_self_tested
from tests.runtime.altered_models import model_with_metadata, model_with_weight
from tests.stand_ins import WORDS, make_bundle, make_facts

Capture = pytest.CaptureFixture[str]


def publish_again(bundle: Path, name: str, content: bytes) -> None:
    """Change one file of a bundle and make every digest hold."""
    (bundle / name).write_bytes(content)
    manifest = read_manifest(bundle)
    record = FileRecord(hashlib.sha256(content).hexdigest(), len(content))
    forged = replace(manifest, files={**manifest.files, name: record}).sealed()
    (bundle / MANIFEST).write_bytes(forged.to_bytes())


def test_inspect_shows_what_a_bundle_is(bundle: Path, capsys: Capture) -> None:
    assert cli.run(["inspect", str(bundle)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for part in (
        "stand-in",
        "sample (synthetic)",
        "10 words, ids below 14, last 8 ids",
        "positive from a score of 0.5, else negative",
        "0.9000 on 100 test reviews",
        "Gather 1, ReduceSum 1, Sigmoid 1",
        "histograms of 0 validation reviews",
        read_manifest(bundle).digest,
    ):
        assert part in out


def test_inspect_gives_json(bundle: Path, capsys: Capture) -> None:
    assert cli.run(["inspect", str(bundle), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["facts"]["labels"] == ["negative", "positive"]
    assert record["manifest"]["digest"] == read_manifest(bundle).digest


def test_inspect_shows_a_graph_alone(bundle: Path, capsys: Capture) -> None:
    assert cli.run(["inspect", str(bundle / MODEL)]) == 0
    assert "no manifest vouches for its bytes" in capsys.readouterr().out
    assert cli.run(["inspect", str(bundle / MODEL), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"] is None


def test_verify_says_what_it_checked(bundle: Path, capsys: Capture) -> None:
    assert cli.run(["verify", str(bundle)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "4 files as published; 3 golden rows score as published (largest difference 0.0e+00)" in out


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize("how", ["environment", "usual place"])
def test_a_bundle_need_not_be_named(
    work: Path, monkeypatch: pytest.MonkeyPatch, command: str, how: str
) -> None:
    make_bundle(work / "artifacts" / "current")
    if how == "environment":
        (work / "artifacts").rename(work / "elsewhere")
        monkeypatch.setenv("RESENHA_BUNDLE", "elsewhere/current")
    assert cli.run([command]) == 0


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_bundle_that_is_not_there_is_wrong_usage(work: Path, capsys: Capture, command: str) -> None:
    assert cli.run([command, "nowhere"]) == 2
    assert "there is no bundle at nowhere: check the path" in capsys.readouterr().err
    assert cli.run([command]) == 2
    assert "make pipeline" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize("name", [MODEL, GOLDEN, CARD, MANIFEST])
@pytest.mark.parametrize("place", [0, -1])
def test_a_flipped_byte_is_refused_by_name(
    bundle: Path, capsys: Capture, command: str, name: str, place: int
) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[place] ^= 1
    (bundle / name).write_bytes(content)
    assert cli.run([command, str(bundle)]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert name in err


@pytest.mark.parametrize("change", ["missing", "extra", "link"])
def test_another_set_of_files_is_refused(bundle: Path, capsys: Capture, change: str) -> None:
    if change == "extra":
        (bundle / "extra").touch()
    else:
        (bundle / CARD).rename(bundle.parent / CARD)
    if change == "link":
        (bundle / CARD).symlink_to(bundle.parent / CARD)
    assert cli.run(["verify", str(bundle)]) == 5
    assert ("extra" if change == "extra" else CARD) in capsys.readouterr().err


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert cli.run(["verify", str(tmp_path)]) == 5
    assert "is not a bundle" in capsys.readouterr().err


def test_a_moved_golden_score_is_refused_although_digests_hold(bundle: Path, capsys: Capture) -> None:
    rows = read_golden((bundle / GOLDEN).read_bytes())
    publish_again(bundle, GOLDEN, write_golden([replace(rows[0], score=0.5), *rows[1:]]))
    assert cli.run(["inspect", str(bundle)]) == 0
    assert cli.run(["verify", str(bundle)]) == 5
    assert "golden row 1 scores" in capsys.readouterr().err


def test_a_moved_weight_is_refused_although_digests_hold(bundle: Path, capsys: Capture) -> None:
    publish_again(bundle, MODEL, model_with_weight("good", 2.01))
    assert cli.run(["verify", str(bundle)]) == 5
    assert "golden row 1 scores" in capsys.readouterr().err


def test_golden_rows_in_a_file_that_holds_none_are_refused(bundle: Path, capsys: Capture) -> None:
    publish_again(bundle, GOLDEN, b"7\n")
    assert cli.run(["verify", str(bundle)]) == 5
    assert GOLDEN in capsys.readouterr().err


def test_a_graph_alone_cannot_be_verified(bundle: Path, capsys: Capture) -> None:
    assert cli.run(["verify", str(bundle / MODEL)]) == 5
    assert "name the bundle's folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "how", ["digits", "capitals", "file", "file of several lines", "escaped file name", "link"]
)
def test_a_bundle_of_the_digest_that_is_asked_for_is_verified(bundle: Path, work: Path, how: str) -> None:
    digest = read_manifest(bundle).digest
    lines = {
        "file": f"{digest}\n",
        "file of several lines": f"{digest.upper()}  bundle\n{'0' * 64}  another\n",
        "escaped file name": f"\\{digest}  bun\\ndle\n",
        "link": f"{digest}",
    }
    given = {"digits": digest, "capitals": digest.upper(), "link": "link"}.get(how, "digest.sha256")
    (work / "digest.sha256").write_text(lines.get(how, ""))
    (work / "link").symlink_to("digest.sha256")
    assert cli.run(["verify", str(bundle), "--digest", given]) == 0


@pytest.mark.parametrize("how", ["digits", "file"])
def test_a_bundle_of_another_digest_is_refused_with_both(
    bundle: Path, work: Path, capsys: Capture, how: str
) -> None:
    other = "0123456789abcdef" * 4
    (work / "file").write_text(f"{other}  bundle\n")
    assert cli.run(["verify", str(bundle), "--digest", other if how == "digits" else "file"]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert f"has the digest {read_manifest(bundle).digest}, {other} was asked for" in err


def test_a_graph_alone_has_no_digest(bundle: Path, capsys: Capture) -> None:
    assert cli.run(["verify", str(bundle / MODEL), "--digest", "0" * 64]) == 5
    assert "name the folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [
        "",
        "0" * 63,
        "0" * 65,
        "g" * 64,
        "empty",
        "words",
        "bytes",
        "long",
        "fifo",
        ".",
        "a\nb",
        "\udcff",
        "\x1b",
    ],
    ids=ascii,
)
def test_what_is_no_digest_is_wrong_usage(bundle: Path, work: Path, capsys: Capture, given: str) -> None:
    (work / "empty").touch()
    (work / "words").write_text(f"bundle {'0' * 64}\n")
    (work / "bytes").write_bytes(b"\xff\x00" * 40)
    (work / "long").write_text("0" * 65)
    os.mkfifo(work / "fifo")
    assert cli.run(["verify", str(bundle), "--digest", given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "64 hexadecimal digits" in err
    assert given.isprintable() or given not in err


@pytest.mark.parametrize("passes", [True, False])
def test_verify_tests_for_real_and_takes_a_pass_of_before_back(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    opened = open_bundle(bundle)
    ensure_self_tested(opened, Scorer(opened))
    cache = Path(os.environ["XDG_CACHE_HOME"])
    assert len(list(cache.rglob("*.json"))) == 1
    if not passes:
        monkeypatch.setattr("pipeline.runtime.self_test.GOLDEN_TOLERANCE", -1.0)
    assert cli.run(["verify", str(bundle)]) == (0 if passes else 5)
    assert list(cache.rglob("*.json")) == []


def test_inspect_shows_no_escape_code_of_a_graph(bundle: Path, capsys: Capture) -> None:
    metadata = replace(make_facts(), name="\x1b[2J", labels=("a\nb", "c")).to_metadata(WORDS)
    (bundle.parent / MODEL).write_bytes(model_with_metadata(metadata))
    assert cli.run(["inspect", str(bundle.parent / MODEL)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 5


@pytest.mark.parametrize(
    "metrics", [{}, {"accuracy": 1}, {"accuracy": "x", "accuracy_interval": 7, "reviews": None}]
)
def test_a_manifest_without_its_figures_is_refused(
    bundle: Path, capsys: Capture, metrics: dict[str, object]
) -> None:
    forged = replace(read_manifest(bundle), metrics=metrics).sealed()
    (bundle / MANIFEST).write_bytes(forged.to_bytes())
    assert cli.run(["inspect", str(bundle)]) == 5


COMMANDS: list[list[str]] = [[], *([name] for name in sorted(cli.resenha.commands))]


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words) or "resenha")
def test_help_shows_examples(capsys: Capture, command: Sequence[str], option: str) -> None:
    assert cli.run([*command, option]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Examples:\n    resenha " in out


@pytest.mark.parametrize("command", ["score", "drift", "train", "tune", "history", "rollback", "promote"])
def test_help_names_the_exit_statuses(capsys: Capture, command: str) -> None:
    assert cli.run([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert all(
        f"{status} " in out.partition("Exit status:")[2]
        for status in (0, 2, *(5,) * (command != "history"), 6)
    )


def test_every_line_of_help_fits_a_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in COMMANDS:
        cli.run([*command, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_the_version_is_told(capsys: Capture) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("resenha, version ")


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["verify", "a", "b"], ["inspect", "--nonsense"]], ids=" ".join
)
def test_wrong_usage_has_its_status(capsys: Capture, arguments: list[str]) -> None:
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: resenha")


@pytest.mark.parametrize("arguments", [None, []], ids=["process", "list"])
def test_main_ends_the_process_with_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str] | None
) -> None:
    monkeypatch.setattr(sys, "argv", ["resenha"])
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2


@pytest.mark.parametrize(
    "raised",
    [
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(32, "Broken pipe"), 141),
        (OSError(28, "No space left on device"), 6),
    ],
    ids=lambda pair: type(pair[0]).__name__,
)
def test_each_end_of_a_command_has_its_status(
    monkeypatch: pytest.MonkeyPatch, bundle: Path, capsys: Capture, raised: tuple[BaseException, int]
) -> None:
    def end(_bundle: Path | None) -> Path:
        raise raised[0]

    monkeypatch.setattr("pipeline.cli.bundles.bundle_path", end)
    assert cli.run(["verify", str(bundle)]) == raised[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_full_disk_behind_standard_output_is_told(bundle: Path, command: str) -> None:
    with Path("/dev/full").open("wb") as full:
        found = subprocess.run(
            [sys.executable, "-m", "pipeline", command, str(bundle)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "Traceback" not in found.stderr
    assert found.returncode == 6
