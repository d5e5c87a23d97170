"""Whether hips that were left out differ from those that were kept: selection bias.

Compared by patient, since a patient's hips are not independent: a patient of whom any hip was left out counts
there only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import fisher_exact, mannwhitneyu

from hipoa.evaluation.statistics.holm import adjust_holm
from hipoa.report.characteristics import NOT_STATED, count_texts, list_people, write_years
from hipoa.report.cohort import Hip
from hipoa.report.scores import count_words, list_words

_LEVEL = 0.05
_LEAST_PATIENTS = 2
"""On both sides: with one patient there is no standard deviation."""

_MOST_SCANNERS = 8
_AGE = "age, years, median"
_INDICES = {"Crowe grade, median of patients' means": "crowe", "KL, median of patients' means": "kl"}
_NUMBERS = (_AGE, *_INDICES)
_UNSCORED = "unscored despite a radiograph"
_IMPLANT = "left out for an implant"


class Difference(NamedTuple):
    """One characteristic of the patients left out and of those kept."""

    name: str  # such as "female sex"
    left_out: str  # such as "2/5 (40 %)", or "63, n = 5" of numbers
    kept: str  # the same
    standardised: float | None  # difference in standard deviations; None: not defined
    p: float | None  # adjusted by Holm over the characteristics; None: not stated of one of both


class Selection(NamedTuple):
    """A group of hips that were left out, compared with hips that were kept."""

    name: str  # such as "refused"
    sentence: str  # what was found
    differences: list[Difference]  # none where there are too few patients


def find_selections(
    hips: Sequence[Hip], predicted: Collection[str], triage: Iterable[Mapping[str, str]]
) -> list[Selection]:
    """Hips of the graded cohorts that were not scored against the scored ones, and unread ones set aside.

    Args:
        hips: Of all cohorts. Those of the pool are left out of no score.
        predicted: Names of the graded hips that every experiment predicted.
        triage: The rows of triage.csv.
    """
    of_graded = [hip for hip in hips if hip.cohort != "pool"]
    scored = [hip for hip in of_graded if hip.hip_id in predicted]
    found: dict[str, list[Hip]] = {"refused": [], "excluded": [], _IMPLANT: [], _UNSCORED: []}
    for hip in of_graded:
        if hip.hip_id not in predicted:
            status = _IMPLANT if hip.status == "excluded" and hip.implant else hip.status
            found[status if status in found else _UNSCORED].append(hip)
    ranked = {row["hip_id"]: bool(row["rank"]) for row in triage}
    unread = [hip for hip in hips if hip.hip_id in ranked and hip.status == "ok"]
    aside = [hip for hip in unread if not ranked[hip.hip_id]]
    return [
        *(compare_hips(name, own, "scored", scored, "labelled or external") for name, own in found.items()),
        compare_hips("set aside by triage", aside, "ranked", [hip for hip in unread if ranked[hip.hip_id]]),
    ]


def compare_hips(
    name: str, left_out: Sequence[Hip], kept_as: str, kept: Sequence[Hip], of: str = ""
) -> Selection:
    """Compares hips that were left out with hips that were kept, by patient.

    Args:
        name: Why they were left out, such as "refused".
        left_out: These hips.
        kept_as: What became of the others, such as "scored".
        kept: The others.
        of: The cohorts of both, such as "labelled or external".
    """
    noun = f"{of} hip".lstrip()
    if not left_out:
        return Selection(name, f"No {noun} was {name}.", [])
    patients = {hip.patient_id for hip in left_out}
    others = [hip for hip in kept if hip.patient_id not in patients]
    n_others = len({hip.patient_id for hip in others})
    counts = (
        f"{count_words(len(left_out), noun)} of {count_words(len(patients), 'patient')} {name}, against "
        f"{count_words(len(others), f'{kept_as} hip')} of {count_words(n_others, 'other patient')}"
    )
    if min(len(patients), n_others) < _LEAST_PATIENTS:
        return Selection(name, f"{counts}: too few patients to compare.", [])
    differences = [one for one in _compare(left_out, others) if (name, one.name) != (_IMPLANT, "implant")]
    clear = [difference for difference in differences if difference.p is not None and difference.p < _LEVEL]
    return Selection(name, f"{counts}: {_conclude(clear, differences)}.", differences)


def _conclude(clear: Sequence[Difference], differences: Sequence[Difference]) -> str:
    if clear:
        return f"they differ in {list_words([_describe(difference) for difference in clear])}"
    tested = [difference for difference in differences if difference.p is not None]
    if not tested:
        return "no characteristic is stated of both"
    return "no difference is significant after adjustment, which does not show that there is none"


def _describe(difference: Difference) -> str:
    size = (
        "" if difference.standardised is None else f"standardised difference {difference.standardised:.2f}, "
    )
    return (
        f"{difference.name}: {difference.left_out} against {difference.kept} ({size}p = {difference.p:.2g})"
    )


def _compare(left_out: Sequence[Hip], kept: Sequence[Hip]) -> list[Difference]:
    """The characteristics in order, each with its p adjusted over all of them."""
    scanners = _list_scanners([*left_out, *kept])
    sides = [_read_patients(hips, scanners) for hips in (left_out, kept)]
    pairs = {name: (sides[0][name], sides[1][name]) for name in sides[0] if sides[0][name] or sides[1][name]}
    tested = {name: _test(name, *pair) for name, pair in pairs.items() if all(pair)}
    adjusted = dict(zip(tested, adjust_holm([*tested.values()]).tolist(), strict=True))
    return [
        Difference(name, _write(name, a), _write(name, b), standardise(a, b), adjusted.get(name))
        for name, (a, b) in pairs.items()
    ]


def _list_scanners(hips: Iterable[Hip]) -> list[str]:
    """The scanners to compare, the most frequent first; of two the second, as the first is its opposite."""
    names = [*count_texts(hips, "scanner")][:_MOST_SCANNERS]
    return names[1:] if len(names) <= 2 else names


def _read_patients(hips: Iterable[Hip], scanners: Iterable[str]) -> dict[str, list[float]]:
    """The values of the patients by characteristic, without those of whom it is not stated."""
    of_patient: dict[str, list[Hip]] = {}
    for hip in hips:
        of_patient.setdefault(hip.patient_id, []).append(hip)
    people = [*list_people(hips).values()]
    used = [names for own in of_patient.values() if (names := {hip.scanner for hip in own} - {""})]
    return {
        "female sex": [float(person.sex == "F") for person in people if person.sex],
        _AGE: [person.years for person in people if person.years is not None],
        **{
            name: [
                float(np.mean(known))
                for own in of_patient.values()
                if (known := [*map(float, _read(own, column))])
            ]
            for name, column in _INDICES.items()
        },
        "implant": [float(known) for own in of_patient.values() if (known := _find_implant(own)) is not None],
        **{f"scanner {name}": [float(name in names) for names in used] for name in scanners},
    }


def _read(hips: Iterable[Hip], column: str) -> Iterator[str]:
    return filter(None, (getattr(hip, column) for hip in hips))


def _find_implant(hips: Sequence[Hip]) -> bool | None:
    """Whether a patient has an implant; None where no image was made that would show it."""
    if any(hip.implant for hip in hips):
        return True
    return False if all(hip.status == "ok" for hip in hips) else None


def standardise(a: Sequence[float], b: Sequence[float]) -> float | None:
    """The difference of the means in units of the standard deviation, of shares (0 and 1) too.

    None where it is not defined. Source: Austin, Statistics in Medicine 2009, 28, 3083-3107: the variance is
    the mean of both; of a share p it is p (1 - p).
    """
    if min(len(a), len(b)) < _LEAST_PATIENTS:
        return None
    ddof = 0 if {*a, *b} <= {0.0, 1.0} else 1
    deviation = np.sqrt((np.var(a, ddof=ddof) + np.var(b, ddof=ddof)) / 2)
    return float((np.mean(a) - np.mean(b)) / deviation) if deviation else None


def _test(name: str, a: Sequence[float], b: Sequence[float]) -> float:
    """The p of Fisher's exact test of shares, of the Mann-Whitney U test of numbers."""
    if name in _NUMBERS:
        return float(mannwhitneyu(a, b).pvalue)
    table = [[sum(side), len(side) - sum(side)] for side in (a, b)]
    return float(fisher_exact(table).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def _write(name: str, values: Sequence[float]) -> str:
    """Such as "2/5 (40 %)" of the patients of whom it is stated, or "63, n = 5": the median."""
    if not values:
        return NOT_STATED
    if name in _NUMBERS:
        median = float(np.median(values))
        return f"{write_years(median) if name == _AGE else f'{median:g}'}, n = {len(values)}"
    return f"{sum(values):.0f}/{len(values)} ({100 * sum(values) / len(values):.0f} %)"
