"""Grades, folds, networks, training and Monte Carlo dropout."""
