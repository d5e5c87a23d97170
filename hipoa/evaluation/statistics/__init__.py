"""Resampling and adjustment."""
