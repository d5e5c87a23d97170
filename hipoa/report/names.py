"""Names of what the report room writes and reads beside its code.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

FIGURES = (
    "radiographs.png",
    "classes.svg",
    "learning.svg",
    "accuracy.svg",
    "confusion.svg",
    "variance.svg",
    "embedding.svg",
    "triage.png",
)
"""What the figures stage writes into ``R/figures``, in the order of the report."""

TEMPLATES = ("report.html", "macros.html", "report.css")
"""What the report stage is laid out with; a change in one of them must rerun it."""
