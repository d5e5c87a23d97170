"""What the sections of the report are made from, each file read once and only if a section asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hipoa.core.errors import TableError
from hipoa.core.files import read_csv
from hipoa.report.cohort import Hip, describe_classes, find_predicted, is_synthetic
from hipoa.report.flow import Flow, count_hips
from hipoa.report.scores import NO_NETWORKS, Score, gather_scores
from hipoa.report.settings import ReportSettings


@dataclass(frozen=True)
class Results:
    """The results of one study.

    Attributes:
        settings: Of the report.
        study: Its name.
        config: As resolved, without folders.
        versions: Of hipoa, Python and the libraries.
        hashes: SHA-256 of every file the page is made from, by path relative to the results.
        origins: What made each of these files.
        hips: The rows of all cohorts.
        stacks: The radiographs ``R/hips/{cohort}.npz``.
        tables: File name to path, such as metrics.csv.
        uncertainty: The tables ``R/uncertainty/{experiment}.csv``.
        explanations: The maps ``R/explanations/{experiment}.npz``; there may be none.
        records: Of the trained networks.
        weights: The records of pre-trained weights.
        ceilings: The best accuracies against the synthetic readings, one record per cohort that has any.
    """

    settings: ReportSettings
    study: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    origins: Mapping[str, Mapping[str, Any]]
    hips: Sequence[Hip]
    stacks: Sequence[Path]
    tables: Mapping[str, Path]
    uncertainty: Sequence[Path]
    explanations: Sequence[Path]
    records: Sequence[Mapping[str, Any]]
    weights: Sequence[Mapping[str, Any]]
    ceilings: Sequence[Mapping[str, Any]]

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a table; none where this study does not make it."""
        return read_csv(self.tables[name]) if name in self.tables else []

    @cached_property
    def experiments(self) -> list[str]:
        """Their names, in the order of the configuration."""
        return [path.stem for path in self.uncertainty]

    @cached_property
    def scores(self) -> list[Score]:
        """The rows of metrics.csv, gathered.

        Raises:
            TableError: It is of other experiments than the predictions.
        """
        scores = gather_scores(self.table("metrics.csv"))
        strange = {score.experiment for score in scores} - {*self.experiments, *NO_NETWORKS}
        if strange:
            raise TableError(
                "metrics.csv",
                f"it scores {', '.join(sorted(strange))}, which this study does not predict",
                "It was made with other settings: run metrics again, without --rerun-triggers mtime, which "
                "sees no change of a setting.",
            )
        return scores

    @property
    def measure(self) -> str:
        """The uncertainty by which hips are ranked for reading."""
        return self.config.get("triage", {}).get("measure", "variance")

    @cached_property
    def triage(self) -> list[dict[str, str]]:
        """The rows of triage.csv."""
        return self.table("triage.csv")

    @cached_property
    def synthetic(self) -> bool:
        """Whether patients are synthetic."""
        return is_synthetic(self.hips)

    @cached_property
    def classes(self) -> dict[int, str]:
        """Class to what it means in this study."""
        return describe_classes(self.hips)

    @cached_property
    def predicted(self) -> set[str]:
        """The graded hips that every experiment predicted."""
        return find_predicted(self.uncertainty)

    @cached_property
    def everything(self) -> Flow:
        """The counts of all cohorts together."""
        return count_hips("all", self.hips, self.predicted)
