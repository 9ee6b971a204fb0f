"""What flows/README.md and flows/Dockerfile say is held against Prefect and against the project's files."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    WorkPoolConfig,
)
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields
from prefect.utilities.importtools import import_object
from prefect.workers.base import BaseVariables
from pydantic import BaseModel

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "flows/README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
YAML = [text for kind, text in BLOCKS if kind == "yaml"]
DEPLOYMENTS = [text for text in YAML if "deployments:" in text]
# prefect-redis 0.3.0, prefect-docker 0.7.2 and prefect-kubernetes 0.8.0, which are not installed here.
REDIS = {f"PREFECT_REDIS_MESSAGING_{name}" for name in ("HOST", "PORT", "DB", "USERNAME", "PASSWORD", "SSL")}
OF_ALL = set(BaseVariables.model_fields)
OF_DOCKER = OF_ALL | set(
    "image registry_credentials image_pull_policy networks network_mode auto_remove volumes stream_output"
    " mem_limit memswap_limit privileged container_create_kwargs".split()
)
OF_KUBERNETES = OF_ALL | set(
    "annotations namespace image service_account_name image_pull_policy backoff_limit finished_job_ttl"
    " job_watch_timeout_seconds pod_watch_timeout_seconds stream_output cluster_config cpu_request cpu_limit"
    " memory_request memory_limit".split()
)
VARIABLES = {"resenha-docker": OF_DOCKER, "resenha-kubernetes": OF_KUBERNETES}


def settings_named_in(text: str) -> set[str]:
    return set(re.findall(r"\bPREFECT_[A-Z0-9_]+", text))


@pytest.mark.parametrize("file", ["README.md", "Dockerfile"])
def test_every_setting_that_is_named_exists(file: str) -> None:
    named = settings_named_in((ROOT / "flows" / file).read_text("utf-8"))
    assert named
    assert named - REDIS <= set(_get_settings_fields(Settings))


def test_the_values_that_are_named_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, text in BLOCKS:
        for name, value in re.findall(r"^(PREFECT_\w+)=(.+)$", text, re.MULTILINE) if kind == "sh" else []:
            monkeypatch.setenv(name, value)
    found = Settings()
    assert found.server.docket.url == "redis://redis.example:6379/1"
    assert found.flows.heartbeat_frequency == 30
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "events,flow_runs")
    assert Settings().server.services.db_vacuum.enabled == {"events", "flow_runs"}


def test_there_is_a_page_to_test() -> None:
    assert len(DEPLOYMENTS) == 2
    assert len(YAML) == 3


def unknown_keys(model: type[BaseModel], mapping: dict[str, Any]) -> set[str]:
    return set(mapping) - set(model.model_fields) - {field.alias for field in model.model_fields.values()}


@pytest.mark.parametrize("text", DEPLOYMENTS, ids=["docker", "kubernetes"])
def test_deployments_are_what_prefect_and_the_flow_take(text: str) -> None:
    read = yaml.safe_load(text)
    PrefectYamlModel.model_validate(read)
    assert not unknown_keys(PrefectYamlModel, read)
    [deployment] = read["deployments"]
    assert not unknown_keys(DeploymentConfig, deployment)
    assert not unknown_keys(WorkPoolConfig, deployment["work_pool"])
    if isinstance(limit := deployment["concurrency_limit"], dict):
        assert not unknown_keys(ConcurrencyLimitSpec, limit)
    assert set(deployment["work_pool"]["job_variables"]) <= VARIABLES[deployment["work_pool"]["name"]]
    import_object(deployment["entrypoint"]).validate_parameters(deployment["parameters"])


def test_the_job_of_kubernetes_asks_for_variables_that_there_are() -> None:
    [text] = set(YAML) - set(DEPLOYMENTS)
    job = yaml.safe_load(text)
    assert (job["kind"], job["apiVersion"]) == ("Job", "batch/v1")
    pod = job["spec"]["template"]["spec"]
    assert set(re.findall(r"\{\{ (\w+) \}\}", text)) <= OF_KUBERNETES
    [container] = pod["containers"]
    assert [mount["name"] for mount in container["volumeMounts"]] == [
        volume["name"] for volume in pod["volumes"]
    ]
    assert pod["securityContext"]["fsGroup"] == int(argument_of("USER"))


@pytest.mark.slow
def test_units_start_commands_that_exist_with_options_that_exist() -> None:
    units = [text for kind, text in BLOCKS if kind == "ini"]
    assert len(units) == 2
    for unit in units:
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names are not in lower case
        parser.read_string(unit)
        assert set(parser.sections()) == {"Unit", "Service", "Install"}
        assert_options_exist(parser["Service"]["ExecStart"])
        if before := parser["Service"].get("ExecStartPre"):
            assert before.startswith("-/opt/resenha/.venv/bin/python -m flows.ghosts lay resenha ")
    for words in ("server start --no-services", "server services start", "server database upgrade --yes"):
        assert f"prefect {words}" in PAGE
        assert_options_exist(f"prefect {words}")


def assert_options_exist(command: str) -> None:
    words = shlex.split(command)
    verbs = [word for word in words[1:4] if not word.startswith("-")]
    shown = subprocess.run(
        [sys.executable, "-m", "prefect", *verbs, "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){option}\b", shown), (command, option)


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "flows/Dockerfile").read_text("utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines.splitlines() if line.strip()]


def argument_of(instruction: str) -> str:
    [argument] = [argument for name, argument in instructions() if name == instruction]
    return argument


def is_in_context(source: str) -> bool:
    """Tell whether .dockerignore lets a file in: the last line that fits decides."""
    ignored = False
    for line in (ROOT / "flows/Dockerfile.dockerignore").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            fits = any(fnmatch(part, line.lstrip("!")) for part in (source, source.partition("/")[0]))
            ignored = (not line.startswith("!")) if fits else ignored
    return not ignored


def copies() -> list[tuple[list[str], str]]:
    arguments = [argument.split() for name, argument in instructions() if name == "COPY"]
    return [(words[:-1], words[-1]) for words in arguments]


def test_the_image_is_pinned_and_its_user_is_not_root() -> None:
    assert re.fullmatch(r"python:3\.1[123]\.\d+-slim-\w+", argument_of("FROM"))
    assert int(argument_of("USER")) >= 1000
    # Kubernetes gives `args` to the entry point, which has to run them.
    assert argument_of("ENTRYPOINT") == '["tini", "--"]'
    assert {name for name, _ in instructions()} <= set(
        "FROM RUN WORKDIR COPY USER ENV ENTRYPOINT CMD".split()
    )


def test_what_is_copied_exists_and_what_is_not_stays_out() -> None:
    sources = [source for group, _ in copies() for source in group]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert is_in_context(source), source
    for source in (".git", ".venv", "artifacts", "tests", "requirements/development.txt", "Makefile"):
        assert not is_in_context(source), source


def test_packages_are_installed_by_hash_and_from_nowhere_in_particular() -> None:
    text = (ROOT / "flows/Dockerfile").read_text("utf-8")
    assert "://" not in text
    assert not re.search("index|trusted-host|password|secret=|token", text, re.IGNORECASE)
    commands = [part.strip() for name, run in instructions() if name == "RUN" for part in run.split("&&")]
    for command in commands:
        if "pip" in command:
            assert ("--require-hashes" in command) or ("--no-deps" in command), command
        else:
            assert command.split()[0] in {"apt-get", "rm", "useradd", "install"}, command


def test_the_steps_of_the_image_give_flows_that_can_be_imported(tmp_path: Path) -> None:
    """COPY and the install of the project; the packages under it are those of this environment."""
    work = tmp_path / "opt"
    for sources, target in copies():
        for source in sources:
            to = work / target / Path(source).name if target.endswith("/") else work / target
            to.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, to)
    [own] = [run for name, run in instructions() if name == "RUN" and "--no-deps" in run]
    words = [*shlex.split(own)[1:], "--no-index", "--quiet", "--target", str(tmp_path / "site")]
    subprocess.run([sys.executable, *words], cwd=work, check=True)
    code = "import flows.build_bundle, flows.score_reviews, pipeline.recipe as r; print(r.load_recipe('quick').name); print(flows.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "PREFECT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines() == ["quick", str(tmp_path / "site/flows/__init__.py")]
