"""``resenha drift``: figures and a plain finding on standard output, a status that was asked for."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import cli
from pipeline.runtime.bundle import MODEL, read_manifest
from pipeline.runtime.summary_reading import SUMMARY
from tests.runtime.scored_reviews import reviews, summary, write
from tests.stand_ins import make_bundle

Capture = pytest.CaptureFixture[str]
REFERENCE = reviews(np.random.default_rng(1), 5_000)
MOVES: dict[str, dict[str, float]] = {"stable": {}, "moderate": {"length": 1.35}, "major": {"length": 0.4}}


def scored(rows: int = 5_000, seed: int = 2, move: str = "stable", **changes: Any) -> dict[str, Any]:
    found = reviews(np.random.default_rng(seed), rows, **MOVES[move])
    return summary(
        rows,
        **{"reference": REFERENCE.to_record(), "histograms": found.to_record(), **changes},
    )


def test_figures_and_finding_are_printed(work: Path, capsys: Capture) -> None:
    names = [write(work / "a.json", scored(move="major")), write(work / "b.json", scored(700, 3, "major"))]
    assert cli.run(["drift", *names]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    head, columns, score, tokens, unknown, finding = out.splitlines()
    assert head == (
        "bundle stand-in abababababab: 5,700 of 5,702 rows scored (2 summaries), "
        "beside 5,000 reviews of its validation split"
    )
    assert columns.split() == ["feature", "rows", "PSI", "by", "chance", "Jensen-Shannon", "verdict"]
    assert [line.split()[0] for line in (score, tokens, unknown)] == ["score", "tokens", "unknown_share"]
    assert [line.split()[-1] for line in (score, tokens, unknown)] == ["stable", "major", "stable"]
    assert {line.split()[1] for line in (score, tokens, unknown)} == {"5,700"}
    assert finding == "Moved: reviews are shorter than in validation (median bin 64-96, was 160-192)."


def test_many_summaries_say_what_one_of_all_rows_says(work: Path, capsys: Capture) -> None:
    parts = [reviews(np.random.default_rng(seed), 300) for seed in (5, 6, 7)]
    whole = reviews(np.random.default_rng(5), 300)
    whole.merge(parts[1])
    whole.merge(parts[2])
    reference = REFERENCE.to_record()
    names = [
        write(work / f"{place}", summary(300, rejected=0, histograms=part.to_record(), reference=reference))
        for place, part in enumerate(parts)
    ]
    one = write(work / "one", summary(900, rejected=0, histograms=whole.to_record(), reference=reference))
    found = []
    for named in (names, names[::-1], [one]):
        assert cli.run(["drift", "--json", *named]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [each.pop("summaries") for each in found] == [3, 3, 1]
    assert found[0] == found[1] == found[2]


def test_json_holds_every_figure(work: Path, capsys: Capture) -> None:
    assert cli.run(["drift", "--json", write(work / "a", scored(move="moderate"))]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    record = json.loads(out)
    assert (record["rows_in"], record["scored"], record["reference_rows"]) == (5_001, 5_000, 5_000)
    tokens = record["features"][1]
    assert (tokens["feature"], tokens["verdict"]) == ("tokens", "moderate")
    assert 0.1 < tokens["psi"] < 0.25
    assert 0 < tokens["chance_psi"] < tokens["psi"]
    assert 0 < tokens["jensen_shannon"] < 1
    assert record["finding"].startswith("Moved: reviews are longer than in validation")


def test_json_of_no_rows_holds_no_figures_and_no_nan(work: Path, capsys: Capture) -> None:
    assert cli.run(["drift", "--json", "--fail-on", "moderate", write(work / "a", scored(0))]) == 0

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    record = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert {each["psi"] for each in record["features"]} == {None}
    assert {each["verdict"] for each in record["features"]} == {"too few"}
    assert cli.run(["drift", str(work / "a")]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["score", "0", "-", "-", "-", "too", "few"]


@pytest.mark.parametrize(
    ("move", "fail_on", "status"),
    [
        ("stable", None, 0), ("moderate", None, 0), ("major", None, 0),
        ("stable", "moderate", 0), ("moderate", "moderate", 3), ("major", "moderate", 3),
        ("stable", "major", 0), ("moderate", "major", 0), ("major", "major", 3),
    ],
)  # fmt: skip
def test_the_status_is_the_one_that_was_asked_for(
    work: Path, capsys: Capture, move: str, fail_on: str | None, status: int
) -> None:
    options = ["--fail-on", fail_on] if fail_on else []
    assert cli.run(["drift", write(work / "a", scored(move=move)), *options]) == status
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.splitlines()) == 6


def test_a_summary_comes_in_by_standard_input(
    work: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO(json.dumps(scored()).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    assert cli.run(["drift", "-"]) == 0
    assert "5,000 of 5,001 rows scored (1 summary)" in capsys.readouterr().out
    assert cli.run(["drift", "-", "-"]) == 2
    assert "- is named twice" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.run(["drift", "-"]) == 6
    assert "standard input is closed" in capsys.readouterr().err


def test_a_folder_stands_for_its_summary(work: Path, capsys: Capture) -> None:
    write(work / SUMMARY, scored())
    assert cli.run(["drift", "."]) == 0
    assert cli.run(["drift", "nowhere"]) == 2
    assert "nowhere is not there" in capsys.readouterr().err


def test_summaries_of_two_bundles_are_refused(work: Path, capsys: Capture) -> None:
    other = scored(bundle={"digest": "cd" * 32, "name": "newer"})
    assert cli.run(["drift", write(work / "a", scored()), write(work / "b", other)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "a was scored with the bundle stand-in abababababab, b with newer cdcdcdcdcdcd" in err.replace(
        f"{work}/", ""
    )


def test_the_remedy_for_a_missing_reference_works(work: Path, capsys: Capture) -> None:
    digest = make_bundle(work / "bundle", reference=REFERENCE).digest
    bundle = {"digest": digest, "name": "stand-in"}
    name = write(work / "a", scored(move="major", reference=None, bundle=bundle))
    assert cli.run(["drift", name]) == 2
    assert f"name the folder of the bundle stand-in {digest[:12]} with --bundle" in capsys.readouterr().err
    assert cli.run(["drift", name, "--bundle", "bundle", "--fail-on", "major"]) == 3
    beside_bundle = capsys.readouterr().out
    write(work / "a", scored(move="major", bundle=bundle))
    for options in ([], ["--bundle", "bundle"]):
        assert cli.run(["drift", name, *options]) == 0
        assert capsys.readouterr().out == beside_bundle


def test_the_bundle_has_to_be_the_one_that_scored(work: Path, capsys: Capture) -> None:
    digest = make_bundle(work / "bundle").digest
    name = write(work / "a", scored())
    assert cli.run(["drift", name, "--bundle", "bundle"]) == 2
    err = capsys.readouterr().err
    assert f"bundle is the bundle {digest[:12]}" in err
    assert "stand-in abababababab; name the bundle that scored" in err
    assert cli.run(["drift", name, "--bundle", "nowhere"]) == 2
    assert "there is no bundle at nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["changed", "graph alone"])
def test_a_bundle_that_is_not_as_published_is_refused(work: Path, capsys: Capture, change: str) -> None:
    make_bundle(work / "bundle", reference=REFERENCE)
    digest = read_manifest(work / "bundle").digest
    name = write(work / "a", scored(reference=None, bundle={"digest": digest, "name": "stand-in"}))
    chosen = work / "bundle"
    if change == "changed":
        text = (chosen / "manifest.json").read_text()
        (chosen / "manifest.json").write_text(text.replace('"reviews": 100', '"reviews": 101'))
    else:
        chosen /= MODEL
    assert cli.run(["drift", name, "-b", str(chosen)]) == 5
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff\xfe\x00", b"{}", b"[]"], ids=repr)
def test_what_is_no_summary_is_refused_by_name(work: Path, capsys: Capture, content: bytes) -> None:
    (work / "odd").write_bytes(content)
    assert cli.run(["drift", "odd"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("resenha: odd ")
    assert len(err.splitlines()) == 1


def test_something_has_to_be_named(capsys: Capture) -> None:
    assert cli.run(["drift"]) == 2
    assert "Missing argument 'SUMMARY...'" in capsys.readouterr().err
    assert cli.run(["drift", "a", "--fail-on", "stable"]) == 2
