"""Types of the flows' parameters: what the form in the UI shows, and what is refused before a run begins.

``prefect deployment run -p NAME=VALUE`` reads VALUE as JSON wherever it can, so ``1.0``, ``true`` and
``null`` arrive as a number, a truth value and nothing. No type below takes one kind of value for another:
what was meant as a text is refused until it is quoted (``-p 'recipe="1.0"'``), never turned into a text
that may not be the one that was typed (``1.10`` arrives as 1.1).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

Text = Annotated[str, Field(strict=True, min_length=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Flag = Annotated[bool, Field(strict=True)]
FilePath = Annotated[Path, Field()]
