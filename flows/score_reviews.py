"""The flow ``score-reviews``: review files in, a directory of scores out, in parts over a Dask cluster.

The directory is that of ``resenha score INPUT -o DIRECTORY/``, byte for byte: the same plan, the same parts,
the same refusals. A run that died goes on with the first part that is missing.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from prefect import flow, runtime
from prefect.states import Failed
from pydantic import Field

from flows.attendance import attend
from flows.pages import ProgressBar, key_of
from flows.parameters import Count, Flag, Share, Text
from flows.score_pages import show_scores
from flows.stage_tasks import as_task
from pipeline.cli.destination import tell_summary
from pipeline.cli.score import score
from pipeline.cli.score_run import ScoreRun, open_run
from pipeline.errors import ResenhaError, UsageError
from pipeline.runtime.cores import usable_cores

_log = logging.getLogger("resenha")


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    inputs = parameters["inputs"]
    more = f" and {len(inputs) - 1} more" if len(inputs) > 1 else ""
    return f"{inputs[0]}{more} to {_directory(parameters['output'], parameters['artifacts'])}"


def _directory(output: str, artifacts: Path | str) -> Path:
    """Put what they stand for in the place of ``{artifacts}`` and ``{date}``.

    The day is that for which the run was planned: the same when it is taken up again on another.
    """
    day = runtime.flow_run.scheduled_start_time or datetime.now(UTC)
    return Path(output.replace("{artifacts}", str(artifacts)).replace("{date}", f"{day:%Y-%m-%d}"))


@flow(name="score-reviews", flow_run_name=_run_name, persist_result=False, validate_parameters=True)
def score_reviews(  # noqa: PLR0913  # One form, with the options of `resenha score`.
    *,
    inputs: Annotated[list[Text], Field(min_length=1)],
    output: Text = "{artifacts}/scores/{date}",
    bundle: Path | None = None,
    digest: Text | None = None,
    scheduler: Text | None = None,
    workers: Count | None = None,
    input_format: Literal["text", "lines", "csv", "tsv", "jsonl", "parquet"] | None = None,
    text_column: Text = "text",
    id_column: Text | None = None,
    delimiter: Text | None = None,
    encoding: Text | None = None,
    keep_columns: Text | None = None,
    output_format: Literal["jsonl", "csv", "parquet"] = "jsonl",
    threshold: Share | None = None,
    part_rows: Count | None = None,
    max_rejects: Annotated[int, Field(strict=True, ge=0)] | Text | None = None,
    limit: Count | None = None,
    input_check: Literal["stat", "sha256"] = "stat",
    overwrite: Flag = False,
    artifacts: Path = Path("artifacts"),
) -> Any:
    """Score review files into a directory, going on where an earlier run into it stopped.

    Args:
        inputs: Files, folders of .txt files, or patterns such as nightly/*.csv.gz.
        output: The directory of parts; {date} is the day for which the run was planned, in UTC.
        bundle: Folder of the bundle; {artifacts}/current, the promoted one, by default.
        digest: The digest that the bundle has to have.
        scheduler: Address of a Dask scheduler, such as tcp://10.0.0.5:8786, whose workers see the same
            paths. By default a cluster is started here, for this run.
        workers: Processes of the cluster that is started here; one for each core by default.
        input_format: How to read every input; by its suffix by default.
        text_column: Column, or JSON key, of the review.
        id_column: Column, or JSON key, that names the row; id by default, where there is one.
        delimiter: Character between columns; a comma by default, or a tab for .tsv.
        encoding: Encoding of the inputs; UTF-8 by default, or UTF-16 with a mark.
        keep_columns: Columns, or JSON keys, to copy to the output, as A,B=C; B=C writes B under the name C.
        output_format: How to write.
        threshold: Score from which a review is positive; the bundle's by default.
        part_rows: Rows of the input for each part; 100,000 by default.
        max_rejects: Stop past so many rejects (100), or past a share of the rows (1%).
        limit: Read so many rows and no more.
        input_check: How a run that goes on tells that inputs are the same, by size and date or by content.
        overwrite: Start anew where the directory holds a run already, finished or not.
        artifacts: Where bundles, and by default scores, are kept.

    Returns:
        One line that tells what became of the rows.
    """
    given = dict(locals())
    attend()
    directory = _directory(output, artifacts)
    given |= {
        "bundle": bundle or artifacts / "current",
        "input_check": None if input_check == "stat" else input_check,
        "output": f"{directory}/",
        "resume": not overwrite,
        "threads": 1,
        "workers": workers or usable_cores(),
    }
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return _score_as_task(_command_line(given), scheduler, given["workers"], directory)
    except ResenhaError as error:
        return Failed(message=f"{type(error).__name__}: {error}", data=error)


def _command_line(given: dict[str, Any]) -> list[str]:
    """Give what would be written behind ``resenha score`` for the same directory."""
    words = []
    for name in sorted(given.keys() - {"inputs", "scheduler", "artifacts"}):
        option = f"--{name.replace('_', '-')}"
        if given[name] is True:
            words.append(option)
        elif given[name] not in (None, False):
            words += [option, str(given[name])]
    return [*words, "--", *given["inputs"]]


def _score(words: list[str], scheduler: str | None, workers: int, directory: Path) -> str:
    """Score as ``resenha score`` would, but by the workers of a cluster, and tell what became of the rows."""
    from flows.cluster import open_cluster
    from flows.dask_workers import hire

    _log.info("as: resenha score %s", shlex.join(words))
    bar = ProgressBar(key_of("scores", directory.name, "progress"), f"rows into {directory}")
    with _parsed(words) as run, open_cluster(scheduler, workers) as client:
        page, _ = run.score_in_parts(
            crew=hire(client), show=lambda _rows, _rejected, share: bar.show(share or 0.0)
        )
    bar.show(1.0)
    show_scores(directory, page)
    told = tell_summary(page)
    _log.info("%s: %s", directory, told)
    return told


@contextmanager
def _parsed(words: list[str]) -> Iterator[ScoreRun]:
    try:
        options = score.make_context("resenha score", words).params
        with open_run(options.pop("inputs"), options) as run:
            yield run
    except click.UsageError as error:
        raise UsageError(error.format_message()) from error


_score_as_task = as_task("score", _score)
