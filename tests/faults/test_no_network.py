"""Everything that scores, on a machine without a network, with nothing but the light install."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.material import Material
from tests.faults.namespaces import apart, why_not_apart
from tests.light_environment import make_light_environment

_ALL = """
resenha=$1 bundle=$2 out=$3
rejecting() { status=0; "$@" || status=$?; [ "$status" = 3 ]; }
score() { rejecting "$resenha" score --bundle "$bundle" -q "$@"; }
[ "$(grep -c : /proc/net/dev)" = 1 ]  # The loopback device alone.
"$resenha" inspect "$bundle"
"$resenha" verify "$bundle"
score quoted.csv -o "$out/scores.csv" --summary "$out/summary.json"
score quoted.csv lines.jsonl.gz folder -o "$out/parts/" --part-rows 9 --workers 2
score quoted.csv lines.jsonl.gz folder -o "$out/parts/" --part-rows 9 --workers 2 --resume
rejecting "$resenha" merge "$out/parts" -o "$out/merged.jsonl"
"$resenha" drift "$out/parts" --bundle "$bundle"
"""


def test_all_that_scores_needs_no_network(
    material: Material, run_environment: dict[str, str], tmp_path: Path
) -> None:
    if reason := why_not_apart("--net"):
        pytest.skip(reason)
    programs = make_light_environment(tmp_path / "venv")
    environment = {key: value for key, value in run_environment.items() if key != "PYTHONPATH"}
    apart(
        "--net",
        _ALL,
        programs / "resenha",
        material.bundle,
        tmp_path,
        cwd=material.folder,
        environment=environment,
    )
    summary = json.loads((tmp_path / "parts" / "_summary.json").read_text())
    assert summary["rows_in"] == 35
