"""The results of a study, each file read once and only if a section asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hipoa.core.errors import TableError
from hipoa.core.files import read_csv
from hipoa.evaluation.comparison.verdicts import beats_constant, describe_weakness
from hipoa.evaluation.predictions import N_GRADES
from hipoa.grading.data.labels import find_unused
from hipoa.report.cohort import Hip, describe_classes, find_predicted, is_synthetic, split_cohorts
from hipoa.report.flow import count_hips
from hipoa.report.radiographs import embed_radiographs
from hipoa.report.scores import NO_NETWORKS, Row, find_best
from hipoa.report.settings import ReportSettings

_NEARLY_ALL = 0.95
"""A share of hips."""


@dataclass(frozen=True)
class Results:
    """The results of one study."""

    settings: ReportSettings  # of the report
    study: str  # its name
    config: Mapping[str, Any]  # as resolved, without folders
    versions: Mapping[str, str]  # of hipoa, Python and the libraries
    hashes: Mapping[str, str]  # SHA-256 of every file the page is made from, by path relative to the results
    origins: Mapping[str, Mapping[str, Any]]  # what made each of these files
    hips: Sequence[Hip]  # the rows of all cohorts
    stacks: Sequence[Path]  # the radiographs ``R/hips/{cohort}.npz``
    tables: Mapping[str, Path]  # file name to path, such as metrics.csv
    uncertainty: Sequence[Path]  # the tables ``R/uncertainty/{experiment}.csv``
    explanations: Sequence[Path]  # the saliency maps ``R/explanations/{experiment}.npz``; there may be none
    records: Sequence[Mapping[str, Any]]  # of the trained networks
    weights: Sequence[Mapping[str, Any]]  # the records of pre-trained weights
    # The best accuracies against the synthetic readings, one record per cohort that has any.
    ceilings: Sequence[Mapping[str, Any]]

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a table; none where this study does not make it."""
        return read_csv(self.tables[name]) if name in self.tables else []

    def embed(self, names: Iterable[str]) -> dict[str, str]:
        """The radiographs of these hips as data URLs, as the hips lie in the patient."""
        wanted = set(names)
        return dict(embed_radiographs([hip for hip in self.hips if hip.hip_id in wanted], self.stacks))

    @cached_property
    def experiments(self) -> list[str]:
        """Their names, in the order of the configuration."""
        return [path.stem for path in self.uncertainty]

    @cached_property
    def scores(self) -> list[Row]:
        """The rows of metrics.csv.

        Raises:
            TableError: It is of other experiments than the predictions.
        """
        scores: list[Row] = [*self.table("metrics.csv")]
        unknown = {score["experiment"] for score in scores} - {*self.experiments, *NO_NETWORKS}
        if unknown:
            raise TableError(
                "metrics.csv",
                f"it scores {', '.join(sorted(unknown))}, which this study does not predict",
                "It was made with other settings: run metrics again, without --rerun-triggers mtime, which "
                "ignores changed settings.",
            )
        return scores

    @cached_property
    def best(self) -> Row | None:
        """The network with the best primary score of labelled hips, None if no graded hip was predicted."""
        return find_best(self.scores, self.primary)

    def beats_constant(self, experiment: str) -> bool:
        """Whether an experiment is shown to be better than the best constant prediction of labelled hips.

        See `hipoa.evaluation.comparison.verdicts.beats_constant`.
        """
        return beats_constant(self.table("differences.csv"), experiment)

    def describe_weakness(self, experiment: str) -> str:
        """In words that it is not shown to be, "" if it is."""
        return describe_weakness(self.table("differences.csv"), experiment)

    @cached_property
    def order_caveat(self) -> str:
        """That the order of the hips to read is not shown to be better than a random one, "" if it may be."""
        caveat = next((row["caveat"] for row in self.triage if row["rank"]), "")
        return f"{caveat[0].upper()}{caveat[1:]}." if caveat else ""

    @cached_property
    def judges_of_labels(self) -> list[str]:
        """The experiments whose predictions can speak against a label: those that beat a constant."""
        return [name for name in self.experiments if self.beats_constant(name)]

    @cached_property
    def single_class(self) -> dict[str, str]:
        """Experiment to a sentence, of those that predict one class for nearly all labelled hips.

        Of one that beats a constant nothing is said: nearly all hips may be of that class.
        """
        found = {name: _find_single_class(self.table("confusion.csv"), name) for name in self.experiments}
        return {name: text for name, text in found.items() if text and name not in self.judges_of_labels}

    @property
    def primary(self) -> str:
        """The primary score."""
        return self.config["compare"]["primary_score"]

    @property
    def measure(self) -> str:
        """The uncertainty measure by which hips are ranked for reading."""
        return self.config["triage"]["measure"]

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
    def cohorts(self) -> dict[str, list[Hip]]:
        """The hips of each cohort."""
        return split_cohorts(self.hips)

    @cached_property
    def predicted(self) -> set[str]:
        """The graded hips that every experiment predicted."""
        return find_predicted(self.uncertainty)

    @cached_property
    def unused(self) -> list[tuple[Hip, str]]:
        """The hips that a person graded and that are neither trained on nor scored, each with the reason."""
        of_name = {hip.hip_id: hip for hip in self.hips}
        return [(of_name[name], reason) for name, reason in find_unused(hip._asdict() for hip in self.hips)]

    def find_scored(self, experiment: str, cohort: str) -> list[Hip]:
        """The hips of a cohort on which an experiment is scored."""
        scored = find_predicted([path for path in self.uncertainty if path.stem == experiment])
        return [hip for hip in self.cohorts.get(cohort, ()) if hip.hip_id in scored]

    @cached_property
    def flow(self) -> dict[str, dict[str, int]]:
        """Cohort, and "all", to the counts of `hipoa.report.flow.STEPS`."""
        return {
            name: count_hips(hips, self.predicted)
            for name, hips in [*self.cohorts.items(), ("all", self.hips)]
        }

    @property
    def renderers(self) -> list[str]:
        """The renderers that made the radiographs, by name."""
        return sorted({hip.renderer for hip in self.hips} - {""})


def _find_single_class(confusion: Iterable[Row], experiment: str) -> str:
    rows = [row for row in confusion if (row["experiment"], row["cohort"]) == (experiment, "labelled")]
    hips = [sum(float(row[f"predicted_{grade}"]) for row in rows) for grade in range(1, N_GRADES + 1)]
    most = max(hips)
    if not rows or most < _NEARLY_ALL * sum(hips):
        return ""
    grade = hips.index(most) + 1
    return f"{experiment} predicts class {grade} for {most:g} of {sum(hips):g} hips: as good as no model."
