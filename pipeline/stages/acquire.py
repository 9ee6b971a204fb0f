"""Acquire: reviews, wherever they come from, as files of JSON lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.corpora import aclimdb, imdb, review_files, sample
from pipeline.corpora.corpus import Corpus, Provenance
from pipeline.corpora.download import Limits, Remote, fetch, has_checksum
from pipeline.corpora.splits import save_reviews, save_texts, save_words
from pipeline.errors import DownloadError, UsageError
from pipeline.recipe import CorpusName, Recipe
from pipeline.reports import Acquired
from pipeline.runtime.durable import sha256_of
from pipeline.workspace import Done, Workspace, fingerprint

_log = logging.getLogger("resenha")
_ONE_TRY = Limits(attempts=1, timeout=5.0)
"""For ``auto``, which has something to fall back on."""


@dataclass(frozen=True)
class Sourcing:
    """Where a run was told to take its reviews from, beside what its recipe says."""

    corpus: CorpusName | None = None
    """None: the recipe's."""
    archive: Path | None = None
    """The user's own copy of the archive, a file or (``aclimdb``) a folder."""
    archive_sha256: str | None = None
    """The checksum that the user states for it."""


@dataclass(frozen=True)
class _Origin:
    """A corpus whose archive is at hand and checked, but not yet read."""

    corpus: str
    provenance: Provenance
    archives: dict[str, str]
    read: Callable[[bool], Corpus]
    """Told whether unlabelled reviews are wanted."""


def acquire(workspace: Workspace, recipe: Recipe, sourcing: Sourcing) -> Done[Acquired]:
    """Bring the reviews of a recipe into the workspace; unlabelled ones only if its teacher wants them.

    The archive is found, fetched if need be, and checked every time; it is read only if what was
    made of it before is gone or no longer valid.

    Raises:
        DownloadError: If a file that is needed cannot be fetched.
        UsageError: If an archive is missing or has another checksum than the user stated.
        DataError: If it does not hold what its corpus holds.
    """
    origin = _find_origin(workspace, recipe, sourcing)
    settings: dict[str, Any] = {
        "corpus": origin.corpus,
        "provenance": origin.provenance,
        "unlabelled": recipe.wants_unlabelled,
    }
    if origin.corpus == "files":
        settings["files"] = recipe.corpus.model_dump(exclude={"train", "test", "unlabelled"})
    done = workspace.run_stage(
        "acquire",
        recipe.name,
        partial(_write_corpus, recipe, origin),
        report_type=Acquired,
        settings=settings,
        inputs=origin.archives,
    )
    if recipe.wants_unlabelled and not done.report.unlabelled_reviews:
        _log.warning(
            "the corpus %r has no unlabelled reviews: the teacher goes on with the labelled ones "
            "(teacher.unlabelled = false asks for no others)",
            origin.corpus,
        )
    return done


def _find_origin(workspace: Workspace, recipe: Recipe, sourcing: Sourcing) -> _Origin:
    name = sourcing.corpus or recipe.corpus.name
    if sourcing.archive is not None and not sourcing.archive.exists():
        msg = f"the archive {sourcing.archive} is not there"
        raise UsageError(msg)
    if name == "auto":
        return _auto(workspace, sourcing)
    if name == "imdb":
        return _imdb(workspace, sourcing, Limits())
    if name == "aclimdb":
        return _aclimdb(workspace, sourcing)
    if sourcing.archive is not None:
        msg = f"the corpus {name!r} takes no archive; ARCHIVE= is for imdb and aclimdb"
        raise UsageError(msg)
    return _sample() if name == "sample" else _files(recipe)


def _auto(workspace: Workspace, sourcing: Sourcing) -> _Origin:
    if sourcing.archive is not None:
        is_imdb = sourcing.archive.suffix == ".npz" or (sourcing.archive / imdb.ARCHIVE.name).is_file()
        return _imdb(workspace, sourcing, Limits()) if is_imdb else _aclimdb(workspace, sourcing)
    try:
        return _imdb(workspace, sourcing, _ONE_TRY)
    except DownloadError as error:
        _log.warning("REAL REVIEWS COULD NOT BE HAD: %s", error)
        _log.warning("Going on with the SYNTHETIC corpus 'sample' (CORPUS=imdb would stop here instead)")
        return _sample()


def _sample() -> _Origin:
    return _Origin(
        "sample", Provenance.SYNTHETIC, {}, lambda wanted: sample.make_sample(with_unlabelled=wanted)
    )


def _imdb(workspace: Workspace, sourcing: Sourcing, limits: Limits) -> _Origin:
    archive = sourcing.archive
    if archive is None:
        archive = fetch(imdb.ARCHIVE, workspace.cache, limits)
        words = fetch(imdb.WORD_INDEX, workspace.cache, limits)
    else:
        archive = archive / imdb.ARCHIVE.name if archive.is_dir() else archive
        words = archive.with_name(imdb.WORD_INDEX.name)
        for path in (archive, words):
            if not path.is_file():
                msg = f"{path} is not there; archive and word index have to lie side by side"
                raise UsageError(msg)
    provenance = _judge(archive, imdb.ARCHIVE, sourcing)
    if provenance is Provenance.VERIFIED and not has_checksum(words, imdb.WORD_INDEX.checksum):
        provenance = Provenance.UNVERIFIED
    archives = {path.name: sha256_of(path) for path in (archive, words)}
    return _Origin("imdb", provenance, archives, lambda _: imdb.read_imdb(archive, words))


def _aclimdb(workspace: Workspace, sourcing: Sourcing) -> _Origin:
    archive = sourcing.archive or fetch(aclimdb.ARCHIVE, workspace.cache)
    provenance = _judge(archive, aclimdb.ARCHIVE, sourcing)
    archives = {archive.name: _sha256_of_any(archive)}
    return _Origin(
        "aclimdb",
        provenance,
        archives,
        lambda wanted: aclimdb.read_aclimdb(archive, with_unlabelled=wanted),
    )


def _files(recipe: Recipe) -> _Origin:
    settings = recipe.corpus
    keys = ("train", "test", "unlabelled") if recipe.wants_unlabelled else ("train", "test")
    paths = {key: Path(given) for key in keys if (given := getattr(settings, key))}
    for key, path in paths.items():
        if not path.exists():
            msg = f"recipe {recipe.name}: {path} is not there (corpus.{key})"
            raise UsageError(msg)
    archives = {key: _sha256_of_any(path) for key, path in paths.items()}
    return _Origin(
        "files",
        Provenance.UNVERIFIED,
        archives,
        lambda wanted: review_files.read_review_files(settings, with_unlabelled=wanted),
    )


def _judge(archive: Path, published: Remote, sourcing: Sourcing) -> Provenance:
    stated = sourcing.archive_sha256
    if stated is not None:
        found = _sha256_of_any(archive)
        if found != stated.lower():
            msg = f"{archive} has the SHA-256 {found}, {stated} was stated; nothing was read from it"
            raise UsageError(msg)
        return Provenance.STATED
    if archive.is_file() and has_checksum(archive, published.checksum):
        return Provenance.VERIFIED
    _log.warning("%s is not the published %s: its results are marked 'unverified'", archive, published.name)
    return Provenance.UNVERIFIED


def _sha256_of_any(path: Path) -> str:
    """Give a file's SHA-256, or for a folder that of its text files' names and SHA-256s."""
    if path.is_file():
        return sha256_of(path)
    files = sorted(path.rglob("*.txt"))
    return fingerprint([[str(file.relative_to(path)), sha256_of(file)] for file in files])


def _write_corpus(recipe: Recipe, origin: _Origin, folder: Path) -> Acquired:
    corpus = origin.read(recipe.wants_unlabelled)
    save_reviews(folder / Acquired.TRAIN, corpus.train)
    save_reviews(folder / Acquired.TEST, corpus.test)
    if corpus.unlabelled:
        save_texts(folder / Acquired.UNLABELLED, corpus.unlabelled)
    if corpus.words is not None:
        save_words(folder / Acquired.WORDS, corpus.words)
    return Acquired(
        corpus=origin.corpus,
        provenance=origin.provenance.value,
        archives=origin.archives,
        train_reviews=len(corpus.train),
        test_reviews=len(corpus.test),
        brings_words=corpus.words is not None,
        unlabelled_reviews=len(corpus.unlabelled),
    )
