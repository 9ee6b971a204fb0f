from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "-s", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_make_alone_prints_every_target() -> None:
    out = make().stdout
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert {"pipeline", "test", "test-faults", "lint", "format"} <= set(targets)
    for target in targets:
        assert re.search(rf"^  {target} +\S", out, re.MULTILINE)


def test_a_python_that_is_too_old_is_named_with_the_remedy(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in ("pyproject.toml", "requirements/pipeline.txt"):
        (tmp_path / name).touch()
    old = tmp_path / "old-python"
    # What the check is given to run, with the version that it sees changed.
    old.write_text(
        "#!/bin/sh\nexec python3 -c \"import sys; sys.version_info = (3, 10, 4); sys.version = '3.10.4 x'\n$2\"\n"
    )
    old.chmod(0o755)
    result = make(f"PYTHON={old}", "pipeline", folder=tmp_path)
    assert result.returncode != 0
    assert "Resenha needs Python 3.11 to 3.13, this is 3.10.4: make PYTHON=python3.12" in result.stderr


def test_requirements_name_no_address() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text("utf-8")
        assert "://" not in text
        assert "index-url" not in text
        assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text) if "==" in block)
