"""Scores of ordinal classes, with their intervals."""
