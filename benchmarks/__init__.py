"""Resenha beside its rivals: each contest runs both on the same reviews, turn by turn, in one process.

``python -m benchmarks --help`` tells the rest. No contest is part of the tests: a figure here is
what one machine did in one run, and its table says which.
"""
