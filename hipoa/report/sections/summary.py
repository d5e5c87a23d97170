"""What the report says first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hipoa.evaluation.baselines import CONSTANT
from hipoa.report.accuracy import Score, find_best, find_score
from hipoa.report.flow import Flow
from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The sentences of the summary."""
    count = len(results.experiments)
    return {"summary": summarise(results.scores, results.everything, results.triage, count)}


def write_score(score: Score | None) -> str:
    """A score with its interval, in words."""
    if score is None or score.value is None:
        return "not defined"
    interval = score.interval
    return f"{score.value:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def summarise(
    scores: Sequence[Score], flow: Flow, triage: Sequence[Mapping[str, str]], n_experiments: int
) -> list[str]:
    """What the report says first, in three sentences.

    Args:
        scores: From metrics.csv.
        flow: Of all cohorts together.
        triage: The rows of triage.csv.
        n_experiments: How many were compared.
    """
    ranked = sum(bool(row["rank"]) for row in triage)
    return [
        f"{flow.cts} CTs of {flow.patients} patients hold {flow.hips} hips: {flow.radiographs} with a "
        f"radiograph, {flow.refused} refused, {flow.excluded} excluded.",
        _summarise_accuracy(scores, n_experiments),
        f"{ranked} unread hips are ranked for reading, the most uncertain first; "
        f"{len(triage) - ranked} are set aside with the reason.",
    ]


def _summarise_accuracy(scores: Sequence[Score], n_experiments: int) -> str:
    best = find_best(scores)
    if best is None:
        return "No graded hip was predicted, so there is no accuracy."
    near = find_score(scores, best.experiment, "labelled", "ONCA")
    constant = [_plain(find_score(scores, CONSTANT, "labelled", name)) for name in ("ECA", "ONCA")]
    chosen = f", the best of {n_experiments} and chosen on these very hips," if n_experiments > 1 else ""
    return (
        f"{best.experiment}{chosen} graded {best.n_hips} hips of {best.n_patients} patients that it had not "
        f"seen: ECA {write_score(best)}, ONCA {write_score(near)} (95 % intervals, patients resampled), "
        f"against ECA {constant[0]} and ONCA {constant[1]} of the best constant answer."
    )


def _plain(score: Score | None) -> str:
    return "not defined" if score is None or score.value is None else f"{score.value:.3f}"
