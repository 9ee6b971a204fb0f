"""Tuning: a small search over a recipe's ranges, on validation reviews only, within a budget."""
