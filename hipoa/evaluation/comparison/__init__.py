"""Comparisons of experiments and cohorts."""
