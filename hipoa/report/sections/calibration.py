"""What calibration and decision curves say of the best network, in words that follow from the intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hipoa.evaluation.calibration.calibrate import NONE
from hipoa.evaluation.calibration.decision import ALL, GAIN, NETWORK
from hipoa.evaluation.calibration.recalibration import IN_THE_LARGE, SLOPE
from hipoa.evaluation.metrics.questions import AT_LEAST, BINARY, SUBLUXATED, WRONG
from hipoa.evaluation.statistics.intervals import LEAST_PATIENTS
from hipoa.report.results import Results
from hipoa.report.scores import Row, find_row, find_side, write_row

_THRESHOLD = "0.5"
"""At which a hip missed weighs as much as one acted on needlessly; the figure shows the others."""
_OTHERS = ("acting on no hip", "acting on all hips")


def gather(results: Results) -> dict[str, Any]:
    """What the tables show, and the sentences."""
    best = results.best["experiment"] if results.best else ""
    return {
        "recalibrations": [
            {"metric": f"{question} {name}"}
            for question in (BINARY, SUBLUXATED, AT_LEAST)
            for name in (IN_THE_LARGE, SLOPE)
        ],
        "strategies": [{"threshold": _THRESHOLD, "strategy": name} for name in (NETWORK, ALL, GAIN)],
        "threshold": _THRESHOLD,
        "least_patients": LEAST_PATIENTS,
        "calibrated": list(_describe_calibration(results.table("calibration.csv"), best)),
        "decided": list(_describe_decisions(results.table("decision.csv"), best)),
    }


def _describe_calibration(rows: Sequence[Row], experiment: str) -> Iterator[str]:
    for cohort in ("labelled", "external"):
        own = {"experiment": experiment, "cohort": cohort, "scaling": NONE}
        large, slope = (find_row(rows, **own, metric=f"{BINARY} {name}") for name in (IN_THE_LARGE, SLOPE))
        if large or slope:
            often, extreme = "{} is read {} often than predicted", "probabilities are too {}"
            yield (
                f"{experiment}, {cohort} cohort, {BINARY}, unscaled: calibration in the large "
                f"{judge(large, 0, often.format(BINARY, 'less'), often.format(BINARY, 'more'))}; "
                f"slope {judge(slope, 1, extreme.format('extreme'), extreme.format('moderate'))}."
            )


def _describe_decisions(rows: Sequence[Row], experiment: str) -> Iterator[str]:
    own = {"experiment": experiment, "cohort": "labelled", "threshold": _THRESHOLD}
    for question in (BINARY, SUBLUXATED, WRONG):
        benefit, gain = (find_row(rows, **own, question=question, strategy=name) for name in (NETWORK, GAIN))
        if benefit and gain:
            none, everyone = ((f"worse than {one}", f"better than {one}") for one in _OTHERS)
            yield (
                f"{experiment}, labelled cohort, {question}: net benefit {judge(benefit, 0, *none)}; "
                f"its difference from acting on all hips {judge(gain, 0, *everyone)}."
            )


def judge(row: Row | None, target: int, below: str, above: str) -> str:
    """A value with its interval, and what follows where the interval lies below or above the target."""
    side = find_side(row, target)
    if side is None:
        return write_row(row)
    if side:
        return f"{write_row(row)}: {above if side > 0 else below}"
    return f"{write_row(row)}, an interval that includes {target}, so that no difference from it is shown"
