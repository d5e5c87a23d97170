"""Renders solids to the CT that a scanner writes."""
