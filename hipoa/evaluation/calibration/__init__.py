"""Calibration of the predicted probabilities."""
