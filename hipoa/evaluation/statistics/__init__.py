"""Intervals, tests and their adjustment."""
