"""What a run shows in the UI: artifacts whose keys stay the same from run to run.

That an artifact cannot be kept never stops a run: the log says so, and the files that it was made
from lie in the workspace.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from pipeline.errors import GateError
from pipeline.recipe import Recipe
from pipeline.reports import Compared, Evaluated, Prepared, Promoted, Published
from pipeline.runtime.bundle import CARD
from pipeline.workspace import Done

_log = logging.getLogger("resenha")
_MEASURES = {
    "rows": "rows compared",
    "largest": "largest difference of two scores",
    "mean": "mean difference",
    "percentile_99_9": "difference that 99.9 % stay below",
    "worst_row": "where it is largest",
    "labels_changed": "labels that change",
    "labels_changed_outside_band": "… of scores that do not lie at the threshold itself",
    "changed_rows": "… in the rows",
    "band": "how far from the threshold a label may change",
    "padding": "largest difference on rows of padding only",
    "company": "largest difference that the other rows of a batch make",
}
"""Names of the figures of parity, in words."""


def key_of(*parts: str) -> str:
    """Join names into an artifact's key: lower case, digits and dashes, as Prefect wants them."""
    return re.sub("[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def keep(create: Callable[..., Any], **content: Any) -> Any:
    """Create or update an artifact by one of Prefect's functions; None, and a warning, where that fails."""
    try:
        return create(**content)
    except (PrefectException, httpx.HTTPError, OSError, RuntimeError) as error:
        name = content.get("key", "progress")
        _log.warning("the page %r could not be kept: %s: %s", name, type(error).__name__, error)
        return None


class StagePages:
    """Shows what each stage of one recipe's chain has found, as soon as it has.

    ::

        RECIPE-data          what is in the reviews
        RECIPE-evaluation    figures, learning curve and calibration
        RECIPE-parity        how far the ONNX graph is from the network
        RECIPE-gates         every gate with its figure and limit
        RECIPE-bundle        the bundle's card, path and digest
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe.name
        self._pages: dict[type, Callable[[Any], None]] = {
            Prepared: self._show_data,
            Evaluated: self._show_evaluation,
            Compared: self._show_parity,
            Published: self._note_published,
            Promoted: self._show_bundle,
        }
        self._published: Published | None = None

    def show(self, result: Any) -> None:
        """Show a stage's result, if it is one that people look at."""
        report = result.report if isinstance(result, Done) else result
        show = self._pages.get(type(report))
        if show is not None:
            show(result)

    def show_refused(self, error: GateError) -> None:
        """Show what can be seen of a network that gates refused."""
        self.show_gates(error.gates)
        if error.report is not None and error.report.name == Evaluated.PAGE:
            self._show_page("evaluation", error.report, "refused")

    def _show_page(self, name: str, page: Path, description: str) -> None:
        text = page.read_text("utf-8")
        picture = page.with_suffix(".png")
        if picture.exists():
            encoded = base64.b64encode(picture.read_bytes()).decode()
            title, _, rest = text.partition("\n")
            text = f"{title}\n\n![Learning curve and calibration](data:image/png;base64,{encoded})\n{rest}"
        self._keep(create_markdown_artifact, name, markdown=text, description=description)

    def _keep(self, create: Callable[..., Any], name: str, **content: Any) -> None:
        keep(create, key=key_of(self._recipe, name), **content)

    def _show_data(self, prepared: Done[Prepared]) -> None:
        self._show_page("data", prepared[Prepared.PAGE], str(prepared.report))

    def _show_evaluation(self, evaluated: Done[Evaluated]) -> None:
        self._show_page("evaluation", evaluated[Evaluated.PAGE], str(evaluated.report))

    def _show_parity(self, compared: Done[Compared]) -> None:
        report = compared.report
        rows = [(_MEASURES.get(name, name), _shown(value)) for name, value in report.parity.items()]
        lines = [
            f"# Parity: recipe {self._recipe}, graph {report.form}",
            "",
            "The scores that ONNX Runtime gives beside those of the trained network.",
            "",
            *table(("measure", "figure"), rows),
            "",
            *gate_lines(report.gates),
        ]
        self._keep(create_markdown_artifact, "parity", markdown="\n".join(lines), description=str(report))

    def _note_published(self, published: Published) -> None:
        self._published = published

    def _show_bundle(self, promoted: Promoted) -> None:
        published = self._published
        if published is None:
            return
        self.show_gates([*published.gates, *promoted.comparison.gates])
        card = (Path(published.bundle) / CARD).read_text("utf-8")
        facts = f"`{published.bundle}`, {promoted}\n\nDigest `{published.digest}`"
        title, _, rest = card.partition("\n")
        text = f"{title}\n\n{facts}\n{rest}"
        self._keep(create_markdown_artifact, "bundle", markdown=text, description=promoted.note)

    def show_gates(self, gates: Iterable[Mapping[str, Any]]) -> None:
        """Show every gate with its figure and limit."""
        gates = list(gates)
        passed = f"{sum(gate['passed'] for gate in gates)} of {len(gates)} passed"
        lines = [f"# Gates: recipe {self._recipe}, {passed}", "", *gate_lines(gates)]
        self._keep(create_markdown_artifact, "gates", markdown="\n".join(lines), description=passed)


def gate_lines(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give a table, and below it what the gates say: the UI wraps lists, and cuts tables off."""
    rows = (
        (
            gate["name"],
            "yes" if gate["passed"] else "**NO**",
            "" if gate["figure"] is None else _shown(gate["figure"]),
            gate["limit"],
        )
        for gate in gates
    )
    told = (f"- **{gate['name']}**: {gate['message']}" for gate in gates)
    return [*table(("gate", "passed", "figure", "limit"), rows), "", *told]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Give a table in Markdown."""
    escaped = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in (head, *rows))
    first, *others = (f"| {line} |" for line in escaped)
    return [first, "|" + "---|" * len(head), *others]


def _shown(value: Any) -> str:
    """Give a figure as people read it."""
    if value is None or value == []:
        return "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


class ProgressBar:
    """A bar in the UI, beside a log that tells the same in lines."""

    def __init__(self, key: str, description: str) -> None:
        self._shown = 0.0
        self._artifact: UUID | None = keep(
            create_progress_artifact, progress=0.0, key=key, description=description
        )

    def show(self, share: float) -> None:
        """Move the bar to a share from 0 to 1."""
        percent = round(100 * min(share, 1.0), 1)
        if self._artifact is None or percent <= self._shown:
            return
        self._shown = percent
        # The work does not wait for a server that is away: the next time will do.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
            keep(update_progress_artifact, artifact_id=self._artifact, progress=percent)


@contextmanager
def progress_from_log(bar: ProgressBar) -> Iterator[None]:
    """Move a bar by what the stages' log tells: records that carry a ``share`` from 0 to 1."""
    handler = _ShareHandler(bar)
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)


class _ShareHandler(logging.Handler):
    def __init__(self, bar: ProgressBar) -> None:
        super().__init__()
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        share = getattr(record, "share", None)
        if share is not None:
            self._bar.show(share)
