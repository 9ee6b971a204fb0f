"""A run of ``resenha score``, from its options to its exit status."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from pipeline.cli.destination import (
    Destination,
    Kind,
    choose_destination,
    refuse_inputs_as_outputs,
    standard_output,
    tell_summary,
)
from pipeline.cli.options import bundle_path
from pipeline.cli.progress import progress
from pipeline.cli.score_options import ScoreOptions, parse_options
from pipeline.runtime.rows import Reject, printable

if TYPE_CHECKING:
    from pipeline.runtime.bundle import Bundle
    from pipeline.runtime.folder_runs import Crew, FolderRun
    from pipeline.runtime.listing import Inputs
    from pipeline.runtime.monitor import RejectLimit
    from pipeline.runtime.part_runs import PartReader
    from pipeline.runtime.scorer import Scorer

_REJECTED = 3
_SHOWN_REJECTS = 20


@contextmanager
def open_run(inputs: tuple[str, ...], given: dict[str, Any]) -> Iterator[ScoreRun]:
    """Give the run that arguments and options ask for, once they are known to make sense.

    Args:
        inputs: As on the command line.
        given: Every option by its name, as click gives it.

    Raises:
        ResenhaError: If there is no such input or bundle, or options contradict each other.
    """
    from pipeline.runtime.listing import open_inputs
    from pipeline.runtime.monitor import RejectLimit
    from pipeline.runtime.sources import check_inputs

    destination = choose_destination(given)
    options = parse_options(given, destination.output_format)
    limit = RejectLimit.parse(given["max_rejects"]) if given["max_rejects"] else None
    with open_inputs(inputs, given["files_from"]) as opened:
        check_inputs(opened, options.read)
        refuse_inputs_as_outputs(opened, destination)
        yield ScoreRun(opened, destination, options, limit)


class ScoreRun:
    """One call of ``resenha score``, once its arguments are known to make sense."""

    def __init__(
        self, inputs: Inputs, destination: Destination, options: ScoreOptions, limit: RejectLimit | None
    ) -> None:
        from pipeline.runtime.bundle import open_bundle

        self._inputs = inputs
        self._destination = destination
        self._options = options
        self._limit = limit
        self._given = options.given
        self._is_quiet = bool(self._given["quiet"])
        path = bundle_path(self._given["bundle"])
        self._bundle: Bundle = open_bundle(path, digest=self._given["digest"])
        self._scorer: Scorer = self._load()

    def _load(self) -> Scorer:
        from pipeline.runtime.plan import BATCH_SHARES
        from pipeline.runtime.scorer import Scorer
        from pipeline.runtime.self_test import ensure_self_tested

        is_in_parts = self._destination.kind is Kind.DIRECTORY
        scorer = Scorer(
            self._bundle,
            threads=self._given["threads"],
            threshold=self._options.write.threshold,
            shares=BATCH_SHARES if is_in_parts else None,
        )
        ensure_self_tested(self._bundle, scorer)
        return scorer

    @property
    def _identity(self) -> dict[str, str]:
        return {"name": self._scorer.facts.name, "digest": self._bundle.digest}

    @property
    def _reference(self) -> dict[str, Any] | None:
        return dict(self._bundle.manifest.reference) if self._bundle.manifest else None

    def score(self) -> int:
        """Score, tell how it went, and give the exit status."""
        started = time.perf_counter()
        if not self._is_quiet:
            self._introduce()
        is_in_parts = self._destination.kind is Kind.DIRECTORY
        page, new_rows = self.score_in_parts() if is_in_parts else self._score_whole()
        seconds = time.perf_counter() - started
        page |= {"seconds": round(seconds, 3), "reviews_per_second": round(new_rows / seconds, 1)}
        if self._destination.summary:
            from pipeline.runtime.durable import durable_file
            from pipeline.runtime.output_folder import json_page

            with durable_file(self._destination.summary, overwrite=self._destination.overwrite) as stream:
                stream.write(json_page(page))
        if not self._is_quiet:
            click.echo(tell_summary(page), err=True)
        return _REJECTED if page["rejected"] else 0

    def _introduce(self) -> None:
        facts, path = self._scorer.facts, self._bundle.path
        alone = "" if self._bundle.manifest else ", a graph alone: no manifest vouches for its bytes"
        where = f"{printable(str(path))}{alone}"
        click.echo(f"bundle: {facts.name} from {facts.corpus} ({facts.provenance}), {where}", err=True)

    def _score_whole(self) -> tuple[dict[str, Any], int]:
        from pipeline.runtime.durable import durable_file
        from pipeline.runtime.jobs import score_rows
        from pipeline.runtime.monitor import Monitor
        from pipeline.runtime.plan import versions
        from pipeline.runtime.reading import ReadTally
        from pipeline.runtime.sinks import open_sink
        from pipeline.runtime.sources import read_rows
        from pipeline.runtime.summary import summary_record

        target, write, tally = self._destination, self._options.write, ReadTally()
        with ExitStack() as stack:

            def opened(path: Path) -> BinaryIO:
                return stack.enter_context(durable_file(path, overwrite=target.overwrite))

            is_stdout = target.kind is Kind.STDOUT
            stream = stack.enter_context(standard_output()) if is_stdout else opened(target.output)
            rejects = opened(target.rejects) if target.rejects else None
            show = stack.enter_context(progress(self._progress, lambda: None))
            monitor = Monitor(self._limit, show)
            sink = open_sink(stream, write.output_format, write.kept_as)
            rows = read_rows(self._inputs, self._options.read, tally)
            summary = score_rows(
                islice(rows, self._given["limit"]),
                self._scorer,
                sink,
                _reject_reporter(rejects, is_quiet=self._is_quiet),
                watch=monitor.follow(),
            )
            sink.close()
            monitor.check_end()
        summary.blank_lines, summary.passed_over = tally.blank_lines, tally.passed_over
        is_parquet = target.output_format == "parquet"
        about = {"versions": versions(with_parquet=is_parquet)} if target.summary else {}
        return summary_record(summary, self._identity, self._reference, about), summary.rows_in

    @property
    def _progress(self) -> str:
        return "none" if self._is_quiet else str(self._given["progress"])

    def _folder_run(self) -> FolderRun:
        from pipeline.runtime.folder_runs import FolderRun
        from pipeline.runtime.plan import DEFAULT_PART_ROWS, InputTotals, Plan
        from pipeline.runtime.stamps import InputCheck

        given = self._given
        plan = Plan(
            bundle=self._identity,
            read=self._options.read,
            write=self._options.write,
            inputs=InputTotals(0, 0, ""),
            check=InputCheck(given["input_check"] or "stat"),
            part_rows=given["part_rows"] or DEFAULT_PART_ROWS,
            limit=given["limit"],
            shard=self._options.shard,
        )
        workers = given["workers"] or 1
        return FolderRun(
            self._inputs,
            plan,
            # The name may lead to another bundle by the time that a worker opens it.
            self._bundle.path.resolve(),
            self._reference,
            resume=given["resume"],
            overwrite=given["overwrite"],
            workers=workers,
            threads=given["threads"] or max(1, self._scorer.threads // workers),
        )

    def score_in_parts(
        self, *, crew: Crew | None = None, show: Callable[[int, int, float | None], object] | None = None
    ) -> tuple[dict[str, Any], int]:
        """Score into a directory.

        Args:
            crew: Scores the parts; where None, processes of this machine, as many as were asked for.
            show: Told the rows done, the rejects among them, and what share of the inputs' bytes that
                is about, 0 to 1 (None: nobody knows), in place of the progress bar.

        Returns:
            The record of the summary, and how many rows this run has read.

        Raises:
            ResenhaError: If the directory is refused, or the run cannot be brought to its end.
        """
        from pipeline.runtime.folder_runs import prepare, run_folder
        from pipeline.runtime.monitor import Monitor
        from pipeline.runtime.output_folder import claim_folder

        run, readers = replace(self._folder_run(), crew=crew), list["PartReader"]()
        with claim_folder(self._destination.output) as folder:
            plan = prepare(folder, run)

            def position() -> tuple[int, int] | None:
                return (readers[0].bytes_read, plan.inputs.bytes) if readers and plan.inputs.bytes else None

            def tell(rows: int, rejected: int) -> None:
                place = position()
                # What was read is not scored yet where others do that.
                share = rows / max(rows, readers[0].rows, 1) * place[0] / place[1] if place else None
                show and show(rows, rejected, share)

            with progress("none" if show else self._progress, position) as bar:
                monitor = Monitor(self._limit, tell if show else bar)
                page = run_folder(folder, plan, run, self._scorer, monitor=monitor, follow=readers.append)
        return page, monitor.new_rows

    def dry(self) -> int:
        """Print what would be done, and do nothing."""
        from pipeline.runtime.folder_runs import describe, describe_published

        target, plan = self._destination, describe(self._folder_run())
        told: dict[str, Any] = {"output": printable(str(target.output)), "kind": target.kind.value}
        if target.kind is Kind.DIRECTORY:
            told |= describe_published(target.output, plan)
        else:
            plan = {key: value for key, value in plan.items() if key not in ("part_rows", "shard", "check")}
        click.echo(json.dumps(told | {"plan": plan}, indent=2))
        return 0


def _reject_reporter(stream: BinaryIO | None, *, is_quiet: bool) -> Callable[[Reject], None]:
    """Write rejects to their file; without one, show the first few on standard error."""
    from pipeline.runtime.sinks import reject_line

    seen = 0

    def report(reject: Reject) -> None:
        nonlocal seen
        seen += 1
        if stream is not None:
            stream.write(reject_line(reject))
        elif not is_quiet and seen <= _SHOWN_REJECTS:
            where = f"{reject.source} row {reject.row}" if reject.row else reject.source
            click.echo(f"rejected: {printable(where)}: {reject.code}: {printable(reject.message)}", err=True)
        elif not is_quiet and seen == _SHOWN_REJECTS + 1:
            click.echo("rejected: more, only counted from here on (--rejects FILE keeps them all)", err=True)

    return report
