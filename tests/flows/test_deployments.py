"""What ``make deploy`` registers, and what the parameters of a run take for granted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli._utilities import load_json_key_values
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.exceptions import ParameterTypeError
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import ValidationError
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
PAGE: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))
DEPLOYMENTS: list[dict[str, Any]] = PAGE["deployments"]
NAMES = [deployment["entrypoint"].rpartition(".")[2] for deployment in DEPLOYMENTS]


def unknown_keys(page: dict[str, Any]) -> set[str]:
    """Name the keys that Prefect would pass over in silence."""

    def beside(model: type[BaseModel], keys: Any) -> set[str]:
        fields = model.model_fields
        return set(keys) - set(fields) - {field.alias for field in fields.values()}

    found = beside(PrefectYamlModel, page) - {"definitions"}
    for deployment in page["deployments"]:
        found |= beside(DeploymentConfig, deployment)
        found |= beside(WorkPoolConfig, deployment["work_pool"])
        found |= beside(ConcurrencyLimitSpec, deployment["concurrency_limit"])
        for schedule in deployment.get("schedules", ()):
            found |= beside(RawScheduleConfig, schedule)
    return found


def test_prefects_own_schema_takes_the_file_and_passes_nothing_over() -> None:
    PrefectYamlModel.model_validate(PAGE)
    assert unknown_keys(PAGE) == set()


@pytest.mark.parametrize("key", ["colision_strategy", "tag", "enforce_parameters"])
def test_a_key_that_prefect_does_not_know_is_found(key: str) -> None:
    planted = json.loads(json.dumps(PAGE))
    planted["deployments"][0][key] = True
    assert unknown_keys(planted) == {key}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_a_deployment_says_what_it_is_and_lets_one_run_at_a_time(deployment: dict[str, Any]) -> None:
    assert deployment["version"] == version("resenha")
    assert deployment["description"]
    assert deployment["tags"]
    assert deployment["enforce_parameter_schema"] is True
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    assert not any(schedule["active"] for schedule in deployment.get("schedules", ()))


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_what_a_deployment_and_its_schedules_set_are_parameters_of_the_flow(
    deployment: dict[str, Any],
) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)
    known = set(parameter_schema(flow).properties)
    given = [deployment["parameters"], *(each["parameters"] for each in deployment.get("schedules", ()))]
    for parameters in given:
        assert set(parameters) <= known


def test_entrypoints_are_found_from_any_folder_and_without_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from prefect.flows import load_flow_from_entrypoint as load\n"
        "for name in sys.argv[1:]: print(load(name, use_placeholder_flow=False).name)\n"
        "print([name for name in ('tensorflow', 'keras', 'onnx', 'sklearn', 'dask') if name in sys.modules])\n"
    )
    entrypoints = [deployment["entrypoint"] for deployment in DEPLOYMENTS]
    command = [sys.executable, "-P", "-c", program, *entrypoints]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["build-bundle", "score-reviews", "[]"]


def typed(flow: Flow[..., Any], *given: str) -> dict[str, Any]:
    """Give what a run gets of ``-p`` options, as Prefect's command line and server treat them."""
    parameters = load_json_key_values(list(given), "parameter")
    schema = parameter_schema(flow).model_dump_for_openapi()
    validate(parameters, schema, raise_on_error=True, preprocess=True, ignore_required=True)
    return flow.validate_parameters(parameters)


@pytest.fixture
def flows() -> dict[str, Flow[..., Any]]:
    found: list[Flow[..., Any]] = [load_flow_from_entrypoint(each["entrypoint"]) for each in DEPLOYMENTS]
    return {flow.name: flow for flow in found}


@pytest.mark.parametrize(
    ("flow", "given", "name", "value"),
    [
        ("build-bundle", "recipe=007", "recipe", "007"),
        ("build-bundle", "recipe=mine.toml", "recipe", "mine.toml"),
        ("build-bundle", 'recipe="1.0"', "recipe", "1.0"),
        ("build-bundle", 'recipe="true"', "recipe", "true"),
        ("build-bundle", "archive=null", "archive", None),
        ("build-bundle", "archive=../imdb.npz", "archive", Path("../imdb.npz")),
        ("score-reviews", 'text_column="1.10"', "text_column", "1.10"),
        ("score-reviews", "threshold=1", "threshold", 1.0),
        ("score-reviews", "max_rejects=100", "max_rejects", 100),
        ("score-reviews", "max_rejects=1%", "max_rejects", "1%"),
    ],
)
def test_a_value_arrives_as_it_was_meant(
    flow: str, given: str, name: str, value: object, flows: dict[str, Flow[..., Any]]
) -> None:
    needed = ['inputs=["a.csv"]'] if flow == "score-reviews" else []
    found = typed(flows[flow], given, *needed)[name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("flow", "given"),
    [
        ("build-bundle", "recipe=1.0"),  # Was it 1.0 or 1.00? It has to be quoted.
        ("build-bundle", "recipe=7"),
        ("build-bundle", "recipe=true"),
        ("build-bundle", "recipe=null"),
        ("build-bundle", 'recipe=""'),
        ("build-bundle", "corpus=imbd"),
        ("build-bundle", "archive=3"),
        ("build-bundle", f"archive_sha256={'1' * 64}"),
        ("score-reviews", "inputs=a.csv"),
        ("score-reviews", "inputs=[]"),
        ("score-reviews", "inputs=[1]"),
        ("score-reviews", "threshold=1.5"),
        ("score-reviews", "threshold=half"),
        ("score-reviews", "part_rows=0"),
        ("score-reviews", "part_rows=1000.5"),
        ("score-reviews", "workers=true"),
        ("score-reviews", "overwrite=1"),
        ("score-reviews", "max_rejects=-1"),
    ],
)
def test_what_is_of_another_kind_is_refused(flow: str, given: str, flows: dict[str, Flow[..., Any]]) -> None:
    needed = [] if "inputs" in given or flow == "build-bundle" else ['inputs=["a.csv"]']
    with pytest.raises((ParameterTypeError, ValidationError, ValueError)):
        typed(flows[flow], given, *needed)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)
def test_every_parameter_is_explained_in_the_form(deployment: dict[str, Any]) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment["entrypoint"])
    for name, shown in parameter_schema(flow).properties.items():
        assert shown.get("description"), name


@pytest.mark.slow
def test_deploying_loads_no_tensorflow(tmp_path: Path) -> None:
    """Register everything with a temporary server, as ``make deploy`` does with a lasting one."""
    program = (
        "import runpy, sys\n"
        "for words in ('work-pool create resenha --type process', '--no-prompt deploy --all'):\n"
        "    sys.argv = ['prefect', *words.split()]\n"
        "    try: runpy.run_module('prefect', run_name='__main__', alter_sys=True)\n"
        "    except SystemExit as end: status = end.code\n"
        "loaded = [name for name in ('tensorflow', 'keras', 'onnx', 'sklearn') if name in sys.modules]\n"
        "print('status', status, 'loaded', loaded)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")}
    environment |= {"PREFECT_HOME": str(tmp_path), "RESENHA_ARTIFACTS": str(tmp_path), "DO_NOT_TRACK": "1"}
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "status 0 loaded []" in result.stdout.replace("None", "0"), result.stdout + result.stderr
    for name in ("build-bundle/local", "score-reviews/nightly"):
        assert f"'{name}' successfully created" in " ".join(result.stdout.split())
