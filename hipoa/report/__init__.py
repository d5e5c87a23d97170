"""Figures, the HTML report and the manifest."""
