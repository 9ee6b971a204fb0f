from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpora import imdb
from pipeline.corpora.download import Remote
from pipeline.corpora.splits import load_texts
from pipeline.errors import DownloadError, UsageError
from pipeline.recipe import Recipe, TeacherSettings, load_recipe
from pipeline.reports import Acquired
from pipeline.stages import acquire as module
from pipeline.stages.acquire import Sourcing, acquire
from pipeline.workspace import Workspace
from tests.corpora.test_aclimdb import FILES, write_archive
from tests.corpora.test_imdb import write as write_imdb
from tests.faults.cases import case

QUICK = load_recipe("quick")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every address refuse at once."""
    for module_name in ("imdb", "aclimdb"):
        corpus = getattr(module, module_name)
        for name in ("ARCHIVE", "WORD_INDEX"):
            if hasattr(corpus, name):
                remote = getattr(corpus, name)
                monkeypatch.setattr(
                    corpus, name, Remote(remote.name, "http://127.0.0.1:1/x", remote.checksum)
                )
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def publish_as(monkeypatch: pytest.MonkeyPatch, archive: Path, index: Path) -> None:
    """Let the published checksums be those of the given files."""
    for name, path in (("ARCHIVE", archive), ("WORD_INDEX", index)):
        checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        monkeypatch.setattr(imdb, name, Remote(path.name, "http://127.0.0.1:1/x", checksum))


def test_without_network_auto_says_loudly_that_it_goes_on_with_the_sample(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="resenha"):
        report = acquire(workspace, QUICK, Sourcing()).report
    assert (report.corpus, report.provenance) == ("sample", "synthetic")
    assert "REAL REVIEWS COULD NOT BE HAD" in caplog.text
    assert "SYNTHETIC" in caplog.text


@pytest.mark.parametrize("corpus", ["imdb", "aclimdb"])
def test_a_corpus_that_was_asked_for_is_never_replaced(corpus: Any, workspace: Workspace) -> None:
    with pytest.raises(DownloadError, match="name it with ARCHIVE="):
        acquire(workspace, QUICK, Sourcing(corpus=corpus))
    assert not list(workspace.root.rglob("*.jsonl"))


@case("Pipeline", "a verified cached file")
def test_a_verified_cache_needs_no_network(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.cache.mkdir(parents=True)
    publish_as(monkeypatch, *write_imdb(workspace.cache))
    report = acquire(workspace, QUICK, Sourcing()).report
    assert (report.corpus, report.provenance) == ("imdb", "verified")


@case("Pipeline", "a cached file that rotted")
def test_a_cache_that_rotted_is_not_used(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.cache.mkdir(parents=True)
    archive, index = write_imdb(workspace.cache)
    publish_as(monkeypatch, archive, index)
    archive.write_bytes(archive.read_bytes()[:-1] + b"X")
    with pytest.raises(DownloadError):
        acquire(workspace, QUICK, Sourcing(corpus="imdb"))


def test_an_archive_of_the_users_is_unverified_until_its_checksum_is_stated(
    workspace: Workspace, tmp_path: Path
) -> None:
    archive, _ = write_imdb(tmp_path)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    plain = acquire(workspace, QUICK, Sourcing(archive=archive)).report
    stated = acquire(workspace, QUICK, Sourcing(archive=archive, archive_sha256=digest.upper())).report
    assert (plain.provenance, stated.provenance) == ("unverified", "stated")
    assert plain.archives["imdb.npz"] == digest
    with pytest.raises(UsageError, match=f"has the SHA-256 {digest}, {'0' * 64} was stated"):
        acquire(workspace, QUICK, Sourcing(archive=archive, archive_sha256="0" * 64))


def test_the_published_archive_is_verified_wherever_it_lies(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, index = write_imdb(tmp_path)
    publish_as(monkeypatch, archive, index)
    assert acquire(workspace, QUICK, Sourcing(archive=archive)).report.provenance == "verified"
    index.write_text(index.read_text() + " ")
    assert acquire(workspace, QUICK, Sourcing(archive=archive)).report.provenance == "unverified"


def test_a_changed_archive_is_read_again_and_an_equal_one_is_not(
    workspace: Workspace, tmp_path: Path
) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", FILES)
    sourcing = Sourcing(corpus="aclimdb", archive=archive)
    assert not acquire(workspace, QUICK, sourcing).was_done
    assert acquire(workspace, QUICK, sourcing).was_done
    write_archive(archive, FILES | {"train/pos/77_9.txt": "One more."})
    again = acquire(workspace, QUICK, sourcing)
    assert (again.was_done, again.report.train_reviews) == (False, 4)


def test_unlabelled_reviews_are_written_for_a_teacher_who_asks_for_them_alone(
    workspace: Workspace, taught_recipe: Recipe
) -> None:
    done = acquire(workspace, taught_recipe, Sourcing())
    assert done.report.unlabelled_reviews == len(load_texts(done[Acquired.UNLABELLED])) == 300
    assert "300 unlabelled" in str(done.report)
    assert set(done.report.archives) == {"train", "test", "unlabelled"}
    Path(taught_recipe.corpus.unlabelled or "").unlink()
    for quiet in ({"teacher": None, "pretraining": None}, {"teacher": TeacherSettings(unlabelled=False)}):
        done = acquire(workspace, taught_recipe.model_copy(update=quiet), Sourcing())
        assert set(done.digests) == {Acquired.TRAIN, Acquired.TEST}
        assert set(done.report.archives) == {"train", "test"}
    with pytest.raises(UsageError, match=r"recipe tiny: .*unlabelled.csv is not there \(corpus.unlabelled\)"):
        acquire(workspace, taught_recipe, Sourcing())


def test_changed_unlabelled_reviews_are_read_again(workspace: Workspace, taught_recipe: Recipe) -> None:
    acquire(workspace, taught_recipe, Sourcing())
    with Path(taught_recipe.corpus.unlabelled or "").open("a") as stream:
        stream.write("One more.,\n")
    again = acquire(workspace, taught_recipe, Sourcing())
    assert (again.was_done, again.report.unlabelled_reviews) == (False, 301)


def test_a_corpus_without_unlabelled_reviews_goes_on_and_says_so_once(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive, _ = write_imdb(tmp_path)
    taught = QUICK.model_copy(update={"teacher": TeacherSettings()})
    for _ in range(2):
        with caplog.at_level(logging.WARNING, logger="resenha"):
            report = acquire(workspace, taught, Sourcing(archive=archive)).report
        assert report.unlabelled_reviews == 0
        assert caplog.text.count("the corpus 'imdb' has no unlabelled reviews") == 1
        caplog.clear()


@pytest.mark.parametrize("name", ["sample", "aclimdb"])
def test_a_corpus_with_unlabelled_reviews_gives_them(name: Any, workspace: Workspace, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", FILES) if name == "aclimdb" else None
    taught = QUICK.model_copy(update={"teacher": TeacherSettings()})
    report = acquire(workspace, taught, Sourcing(name, archive)).report
    assert report.unlabelled_reviews == {"sample": 4_000, "aclimdb": 2}[name]


def test_an_unpacked_folder_will_do_for_aclimdb(workspace: Workspace, tmp_path: Path) -> None:
    for name, text in FILES.items():
        path = tmp_path / "aclImdb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    report = acquire(workspace, QUICK, Sourcing(archive=tmp_path / "aclImdb")).report
    assert (report.corpus, report.train_reviews, report.test_reviews) == ("aclimdb", 3, 2)


@pytest.mark.parametrize(
    ("sourcing", "message"),
    [
        (Sourcing(archive=Path("no/such.npz")), "the archive no/such.npz is not there"),
        (Sourcing(corpus="sample", archive=Path("/dev/null")), "takes no archive"),
    ],
)
def test_an_archive_that_is_missing_or_useless_is_refused(
    sourcing: Sourcing, message: str, workspace: Workspace
) -> None:
    with pytest.raises(UsageError, match=message):
        acquire(workspace, QUICK, sourcing)


def test_a_folder_that_holds_the_archive_will_do_for_imdb(workspace: Workspace, tmp_path: Path) -> None:
    write_imdb(tmp_path)
    assert acquire(workspace, QUICK, Sourcing(archive=tmp_path)).report.corpus == "imdb"


def test_a_word_index_has_to_lie_beside_its_archive(workspace: Workspace, tmp_path: Path) -> None:
    archive, index = write_imdb(tmp_path)
    index.unlink()
    with pytest.raises(UsageError, match="imdb_word_index.json is not there; .* side by side"):
        acquire(workspace, QUICK, Sourcing(archive=archive))


def test_a_recipe_whose_files_are_missing_says_which(workspace: Workspace, recipe: Recipe) -> None:
    Path(recipe.corpus.test or "").unlink()
    with pytest.raises(UsageError, match=r"recipe tiny: .*test.csv is not there"):
        acquire(workspace, recipe, Sourcing())
