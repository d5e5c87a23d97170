"""The figures, and the titles of the tables that the report shows as they are.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

FIGURES = {
    "flow": "svg",
    "radiographs": "png",
    "classes": "svg",
    "augmentation": "png",
    "learning": "svg",
    "accuracy": "svg",
    "published": "svg",
    "confusion": "svg",
    "external_drop": "svg",
    "network_differences": "svg",
    "subgroup_scores": "svg",
    "reliability": "svg",
    "decision": "svg",
    "variance": "svg",
    "risk_coverage": "svg",
    "embedding": "svg",
    "simulation": "svg",
}
"""The figures, in the order of the report, and as what the page holds them."""

DRAWN = tuple(f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png"))
"""What the figures stage writes into ``R/figures``: each figure both ways."""

TABLES = {
    "metrics.csv": "Every score, with its interval and spread",
    "confusion.csv": "Confusion matrices",
    "differences.csv": "Differences between networks and between cohorts",
    "calibration.csv": "Calibration before and after temperature scaling",
    "reliability.csv": "Reliability diagrams",
    "decision.csv": "Decision curves",
    "detection.csv": "Uncertainty as a detector of errors",
    "risk_coverage.csv": "Risk of the hips that are kept, the surest first",
    "conformal.csv": "Conformal sets of classes",
    "subgroups.csv": "Subgroups",
}
"""Tables of the evaluation that the report shows as they are, in its order, and their titles."""
