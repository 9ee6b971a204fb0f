"""A bundle's self-test: are its bytes those published, and does this machine score as they say?"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from pipeline.errors import BundleError
from pipeline.runtime.bundle import GOLDEN, Bundle, named
from pipeline.runtime.golden_rows import GoldenRow, read_golden
from pipeline.runtime.padding import pad_batch
from pipeline.runtime.plain_files import opened, read_plain
from pipeline.runtime.rows import printable
from pipeline.runtime.scorer import Scorer

GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a golden score. Other processors and versions of ONNX Runtime round
differently (within 1e-5 here); a wrong weight or word moves some golden row much further."""

_CODE = Path(__file__).parent
"""All modules that a score goes through."""


@dataclass(frozen=True)
class SelfTest:
    """What a passed self-test saw."""

    rows: int
    largest_difference: float


def score_golden(scorer: Scorer, review: str) -> GoldenRow:
    """Score one review by itself, with the token ids on the way."""
    batch = scorer.tokenizer.encode_batch([review])
    score = float(scorer.score_ids(pad_batch(batch, np.array([0])))[0]) if batch.token_ids.size else None
    return GoldenRow(review, batch.token_ids.tolist(), score)


def run_self_test(bundle: Bundle, scorer: Scorer) -> SelfTest:
    """Score a bundle's golden rows on this machine.

    Raises:
        BundleError: If one comes out otherwise than when the bundle was published.
    """
    shown = printable(str(bundle.path))
    if GOLDEN not in bundle.files:
        msg = f"{shown} has no {GOLDEN}: name the bundle's folder to test it"
        raise BundleError(msg)
    with named(bundle.path):
        rows = read_golden(bundle.files[GOLDEN])
    largest = 0.0
    for number, published in enumerate(rows, start=1):
        found = score_golden(scorer, published.review)
        where = f"{shown}: {GOLDEN}: golden row {number}"
        if found.token_ids != published.token_ids:
            msg = f"{where} has other token ids on this machine than when it was published"
            raise BundleError(msg)
        if found.score is None and published.score is None:
            continue
        if found.score is None or published.score is None:
            msg = f"{where} scores {found.score} on this machine, {published.score} was published"
            raise BundleError(msg)
        difference = abs(found.score - published.score)
        if not np.less_equal(difference, GOLDEN_TOLERANCE):
            msg = (
                f"{where} scores {found.score:.7f} on this machine, {published.score:.7f} was published; "
                f"the difference {difference:.1e} is over {GOLDEN_TOLERANCE:.0e} "
                f"(ONNX Runtime {ort.__version__}, {platform.machine()})"
            )
            raise BundleError(msg)
        largest = max(largest, difference)
    return SelfTest(len(rows), largest)


def ensure_self_tested(bundle: Bundle, scorer: Scorer) -> None:
    """Score a bundle's golden rows, unless they have come out as published on this machine before.

    That they did is kept in a small file in the user's cache, whose name and content stand for the
    bundle's digest and for what could change a score: this program's code, the versions of Python
    (its Unicode tables), NumPy and ONNX Runtime, the machine. Where it can't be kept, the rows are
    scored each time. A graph alone has no golden rows.

    Raises:
        BundleError: If a golden row comes out otherwise than when the bundle was published.
    """
    if bundle.manifest is None:
        return
    if _marker_holds(bundle):
        return
    run_self_test(bundle, scorer)
    with suppress(OSError, RuntimeError):
        _write_marker(*_marker(bundle))


def forget_self_test(bundle: Bundle) -> None:
    """Let the next ``ensure_self_tested`` score the golden rows again."""
    with suppress(OSError, RuntimeError):
        _marker(bundle)[0].unlink()


def _marker_holds(bundle: Bundle) -> bool:
    try:
        path, content = _marker(bundle)
        with opened(path) as descriptor:
            return read_plain(descriptor, len(content)) == content
    except (OSError, RuntimeError):
        return False


def _marker(bundle: Bundle) -> tuple[Path, bytes]:
    """Give the path and the content of the file that says that a bundle passed here.

    Raises:
        OSError: If this program's code can't be read.
        RuntimeError: If the user has no home.
    """
    code = hashlib.sha256()
    for path in sorted(_CODE.iterdir()):
        if path.suffix in (".py", ".pyc"):  # An install can do without sources.
            code.update(path.read_bytes())
    content = json.dumps(
        {
            "bundle": bundle.manifest.digest if bundle.manifest else None,
            "code": code.hexdigest(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": ort.__version__,
            "machine": [platform.node(), platform.system(), platform.machine()],
        }
    ).encode()
    # By the XDG base directory specification, a path that is not absolute does not count.
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = chosen if chosen.is_absolute() else Path.home() / ".cache"
    return cache / "resenha" / "self-tests" / f"{hashlib.sha256(content).hexdigest()}.json", content


def _write_marker(path: Path, content: bytes) -> None:
    """Write a marker under another name and rename it; one that power loss empties holds no more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.urandom(6).hex()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
