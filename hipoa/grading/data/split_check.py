"""Whether graded hips suffice for a split into folds, checked on the tables before any job.

Standard library and pydantic only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hipoa.core.errors import CohortError
from hipoa.core.files import read_csv
from hipoa.core.identifiers import normalise
from hipoa.core.tables.rows import Case, Reading, hip_id
from hipoa.grading.data.labels import find_lack, grade_hip
from hipoa.grading.data.stratified_split import find_shortage
from hipoa.grading.settings import HipsSettings

_WAYS = {
    "are left out": "take them out of the column exclude of the table of cases",
    "have no Crowe grade": "fill the column crowe too (1: subluxation of less than 50 %)",
    "have no KL grade": "fill the column kl too",
    "have a pair that is no class": "list it in hips.class_table, or set hips.off_table: nearest",
}
"""What keeps a graded hip from having a combined class, and what to do about it."""
_LACKS = {
    "crowe": "have no Crowe grade",
    "kl": "have no KL grade",
    "class": "have a pair that is no class",
    "": "",
}


def read_folds(path: Path, folds: int) -> dict[str, int]:
    """Patient to fold, from a table of an earlier run.

    Raises:
        CohortError: It is not a table of this number of folds.
    """
    rows = read_csv(path)
    fold_of = {normalise(row.get("patient_id") or ""): row.get("fold") or "" for row in rows}
    if set(fold_of.values()) != set(map(str, range(folds))):
        raise CohortError(
            f"{path.parent.name}/{path.name}",
            f"it is no table of patient_id and fold with all of the folds 0 to {folds - 1}",
            "Set data.folds to other folds or folds.folds as before, or remove it: then all are split anew.",
        )
    return {patient: int(fold) for patient, fold in fold_of.items()}


@dataclass
class TaughtHips:
    """The patients and classes of the hips that a task is trained on."""

    patients: set[str] = field(default_factory=set)
    classes: Counter[object] = field(default_factory=Counter)


@dataclass(frozen=True)
class LabelledHips:
    """What the tables say of the labelled hips: reading the CTs can take hips away, and add none."""

    where: str  # the name of the table of grades
    of_task: Mapping[str, TaughtHips]  # task to the hips that it is taught with
    lacking: Counter[str]  # what keeps a graded hip from having a combined class, to the number of such hips
    # Labelled patients of the built-in cohort and their hips, whose classes are drawn later; any may be of
    # the most frequent class.
    builtin: tuple[int, int]

    def check_folds(self, folds: int, *, kept: bool) -> None:
        """Refuses folds that cannot be made.

        Args:
            folds: How many.
            kept: There is a former split to go on with: then no class needs so many hips.

        Raises:
            CohortError: There are too few patients, or too few hips of every class.
        """
        patients, most = self._count("combined")
        shortage = find_shortage(patients, max(most, folds) if kept else most, folds)
        if shortage:
            causes = ", ".join(f"{count} {cause}" for cause, count in self.lacking.items())
            found = f"{shortage} (of the graded hips {causes})" if causes else shortage
            raise CohortError(self.where, found, self._advise(patients, min(patients, most)))

    def check_inner_folds(self, inner: int, folds: int, tasks: Iterable[str]) -> None:
        """Refuses a validation split that cannot be made in the training patients of every fold.

        Args:
            inner: Parts of the validation split; 0 for none.
            folds: The number of folds of the cross-validation.
            tasks: Those of the experiments.

        Raises:
            CohortError: There are too few patients, or too few hips of every class.
        """
        for task in sorted(set(tasks)) if inner else ():
            patients, most = self._count(task)
            # However patients are split, one fold leaves no larger share of them than this.
            left = patients * (folds - 1) // folds
            shortage = find_shortage(left, most, inner)
            if shortage:
                least = min(left, most)
                raise CohortError(
                    "train.inner_folds",
                    f"{shortage}, with one of {folds} folds left out",
                    f"Grade hips of more patients, or set it to {least if least >= 2 else 0}.",
                )

    def _count(self, task: str) -> tuple[int, int]:
        """Patients, and hips of the most frequent class."""
        own = self.of_task[task]
        return len(own.patients) + self.builtin[0], max(own.classes.values(), default=0) + self.builtin[1]

    def _advise(self, patients: int, largest: int) -> str:
        ways = [_WAYS[cause] for cause in self.lacking]
        ways += ["grade hips of more patients"] if patients or not ways else []
        ways += ["raise phantom.labelled"] if self.builtin[0] else []
        ways += [f"set folds.folds to {largest}"] if largest >= 2 else []
        text = ", or ".join(ways)
        return f"{text[0].upper()}{text[1:]}."


def count_labelled(
    cases: Sequence[Case],
    readings: Iterable[Reading],
    rule: HipsSettings,
    where: str,
    builtin: tuple[int, int] = (0, 0),
) -> LabelledHips:
    """Counts the patients and classes that the stages hips, folds and train will find, if no CT is refused.

    Args:
        cases: The labelled cohort.
        readings: Of any cases, in the order of their table.
        rule: The class table and the label rule.
        where: The name of the table of grades.
        builtin: As in `LabelledHips`.

    Raises:
        TableError: The label rule cannot be followed.
    """
    case_of = {case.case_id: case for case in cases}
    of_task = {"combined": TaughtHips(), "separate": TaughtHips()}
    lacking: Counter[str] = Counter()
    of_hip: dict[tuple[str, str], list[Reading]] = defaultdict(list)
    for reading in readings:
        if reading.case_id in case_of:
            of_hip[reading.case_id, reading.side].append(reading)
    for (case_id, side), mine in of_hip.items():
        grade, case = grade_hip(hip_id(case_id, side), mine, rule), case_of[case_id]
        taught = {"combined": grade["grade"], "separate": (grade["crowe"], grade["kl"])}
        cause = "are left out" if side in case.exclude else _LACKS[find_lack(grade)]
        lacking.update([cause] if cause else [])
        for task, kind in taught.items():
            if side not in case.exclude and kind is not None:
                of_task[task].patients.add(case.patient_id)
                of_task[task].classes[kind] += 1
    return LabelledHips(where, of_task, lacking, builtin)
