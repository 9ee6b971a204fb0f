"""An environment with just what the light install declares, made without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def declared_distributions(name: str = "resenha") -> dict[str, Distribution]:
    """Give what a distribution needs without any extra, however far down."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found[current] = distribution(current)
        for line in found[current].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name.lower().replace("_", "-"))
    return found


def make_light_environment(folder: Path) -> Path:
    """Make a virtual environment with links to the declared distributions' files.

    Returns:
        The environment's folder of programs, ``resenha`` among them.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    for name, found in declared_distributions().items():
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        if name != "resenha":
            for top in tops:
                target = Path(str(found.locate_file(top)))
                if not (packages / top).exists():
                    (packages / top).symlink_to(target)
    for package in ("pipeline", "flows"):
        shutil.copytree(ROOT / package, packages / package, ignore=shutil.ignore_patterns("__pycache__"))
    own = Path(str(distribution("resenha").locate_file("")))
    [metadata] = own.glob("resenha-*.dist-info")
    shutil.copytree(metadata, packages / metadata.name)
    program = folder / "bin" / "resenha"
    program.write_text(f"#!{folder}/bin/python\nfrom pipeline.cli import main\nmain()\n")
    program.chmod(0o755)
    return folder / "bin"
