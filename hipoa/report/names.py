"""Names of what the report room writes and reads beside its code.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

FIGURES = (
    "radiographs.png",
    "classes.svg",
    "augmentation.png",
    "learning.svg",
    "accuracy.svg",
    "confusion.svg",
    "variance.svg",
    "embedding.svg",
    "triage.png",
    "simulation.svg",
)
"""What the figures stage writes into ``R/figures``, in the order of the report."""

TABLES = {
    "confusion.csv": "Confusion matrices",
    "differences.csv": "Differences between networks and between cohorts",
    "calibration.csv": "Calibration before and after temperature scaling",
    "reliability.csv": "Reliability diagrams",
    "detection.csv": "Uncertainty as a detector of errors",
    "risk_coverage.csv": "Risk of the hips that are kept, the surest first",
    "conformal.csv": "Conformal sets of classes",
    "subgroups.csv": "Subgroups",
}
"""Tables of the evaluation that the report shows as they are, in its order, and their titles."""

SOURCES = (
    "metrics.csv",
    "compare.csv",
    "embedding.csv",
    "triage.csv",
    "doubts.csv",
    "simulation.csv",
    *TABLES,
)
"""Every table that the report reads; those that are not in `TABLES` have sections of their own."""
