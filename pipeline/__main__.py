"""``python -m pipeline`` is the command ``resenha``."""

from pipeline.cli import main

main()
