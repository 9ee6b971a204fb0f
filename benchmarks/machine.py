"""What a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from pipeline.runtime.cores import usable_cores

PACKAGES = (
    "numpy",
    "onnxruntime",
    "tensorflow",
    "keras",
    "tf2onnx",
    "scikit-learn",
    "tokenizers",
    "fasttext-community",
    "pyarrow",
)


def is_installed(distribution: str) -> bool:
    """Tell whether a rival is there to be measured."""
    return _version(distribution) is not None


def describe_machine() -> list[str]:
    """Give lines on cores, processor, load, Python and the versions of everybody who takes part."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    versions = (f"{name} {_version(name) or 'not installed'}" for name in PACKAGES)
    cores = f"{usable_cores()} cores of {_processor()}, {platform.system()} {platform.machine()}"
    return [
        f"Machine: {cores}; load when the run began {load}",
        f"Python {platform.python_version()}, resenha {_version('resenha') or 'from this folder'}, "
        + ", ".join(versions),
    ]


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "an unnamed processor"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "an unnamed processor"
