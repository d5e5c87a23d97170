"""Predictions with and without dropout."""
