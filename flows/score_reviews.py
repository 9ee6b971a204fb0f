"""The flow ``score-reviews``: review files in, a directory of scores out, in parts over a Dask cluster.

The directory is that of ``resenha score INPUT -o DIRECTORY/``, byte for byte: the same plan, the same parts,
the same refusals. A run that died goes on with the first part that is missing.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow, runtime
from prefect.states import Failed
from pydantic import Field

from flows.attendance import attend
from flows.parameters import Count, Flag, Share, Text
from pipeline.errors import ResenhaError
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
        "output": f"{directory}/",
        "bundle": bundle or artifacts / "current",
        "max_rejects": None if max_rejects is None else str(max_rejects),
        "resume": not overwrite,
        "workers": workers or usable_cores(),
    }
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return _score(given, directory)
    except ResenhaError as error:
        return Failed(message=f"{type(error).__name__}: {error}", data=error)


def _score(given: dict[str, Any], directory: Path) -> str:
    raise NotImplementedError
