from __future__ import annotations

from pathlib import Path

import pytest
from prefect.settings import Settings

from flows.installation import Installation
from pipeline.errors import InputOutputError, OutputInUse


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    return Installation.under(tmp_path / "artifacts", 4299)


def settings(place: Installation, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in place.environment("server").items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_all_that_prefect_keeps_is_in_one_folder(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(place, monkeypatch)
    assert found.home == place.home
    assert found.server.database.connection_url is not None
    assert (
        found.server.database.connection_url.get_secret_value()
        == f"sqlite+aiosqlite:///{place.home}/prefect.db"
    )
    for path in (found.profiles_path, found.server.memo_store_path, found.results.local_storage_path):
        assert path is not None
        assert path.is_relative_to(place.home)


def test_nothing_is_sent_anywhere(place: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(place, monkeypatch)
    assert not found.server.analytics_enabled
    assert not found.server.ui.show_promotional_content
    assert not found.telemetry.enable_resource_metrics
    assert place.environment("server")["DO_NOT_TRACK"] == "1"


def test_it_is_for_this_machine_and_its_own_pages_only(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(place, monkeypatch)
    assert found.api.url == "http://127.0.0.1:4299/api"
    assert found.server.api.cors_allowed_origins == "http://127.0.0.1:4299,http://localhost:4299"
    assert found.server.api.csrf_protection_enabled


def test_what_says_where_the_server_is_is_not_taken_from_outside(
    place: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://production/prefect")
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_HOST", "production")
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "7")
    monkeypatch.setenv("no_proxy", "intranet")
    environment = place.environment("worker")
    assert "PREFECT_API_KEY" not in environment
    assert environment["TMPDIR"] == str(place.home / "tmp")
    assert "production" not in str(environment)
    assert environment["PREFECT_WORKER_QUERY_SECONDS"] == "7"
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet,127.0.0.1,localhost"


def test_there_is_one_service_in_a_folder(place: Installation) -> None:
    with place.lock():
        assert place.is_taken()
        with pytest.raises(OutputInUse, match="make stop"), place.lock():
            pass
    assert not place.is_taken()


def test_what_a_service_says_of_itself_is_read_back(place: Installation) -> None:
    assert place.read_state() == {}
    place.write_state({"server": "up"})
    assert place.read_state() == {"port": 4299, "server": "up"}


@pytest.mark.parametrize("content", ["", "[]", "{", "\ud800"], ids=["empty", "a list", "cut off", "no text"])
def test_a_state_that_cannot_be_read_is_none(place: Installation, content: str) -> None:
    (place.home / "service.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    assert place.read_state() == {}


def test_where_nothing_answers_there_is_no_server(place: Installation) -> None:
    assert not place.answers()


def test_links_are_followed_so_that_a_folder_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Installation.under(tmp_path / "link", 1).home == tmp_path / "real/prefect"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifacts").touch()
    with pytest.raises(InputOutputError, match="cannot be made"):
        Installation.under(tmp_path / "artifacts", 1)


def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    place = Installation.under(tmp_path, 4200)
    for _ in range(2):
        place.sweep()
        assert list(place.scratch.iterdir()) == []
        (place.scratch / "prefect-workspace-attempt-x").mkdir()
