"""Uncertainty, metrics, comparison and embedding."""
