"""What the report says first: six questions, answered from the tables."""

from __future__ import annotations

from typing import Any, NamedTuple

from hipoa.evaluation.metrics.baselines import CONSTANT
from hipoa.evaluation.passes import name_measure
from hipoa.report.result_rows import find_row, list_words, write_estimate, write_row
from hipoa.report.results import Results
from hipoa.report.scores import Score, find_best, find_score
from hipoa.report.sections.caveats import list_doubts

_FIRST = 3


class Answer(NamedTuple):
    """One line of the first page.

    Attributes:
        question: Such as "How good".
        sentences: Its answer.
        where: The sections that say more, by name.
    """

    question: str
    sentences: list[str]
    where: tuple[str, ...]


def gather(results: Results) -> dict[str, Any]:
    """The six answers."""
    return {"answers": answer(results)}


def answer(results: Results) -> list[Answer]:
    """What was done, on whom, how good, how sure, what to distrust, what to do next."""
    best = find_best(results.scores)
    return [
        Answer("What was done", [_say_done(results)], ("methods",)),
        Answer("On whom", [_say_whom(results)], ("patients",)),
        Answer("How good", _say_good(results, best), ("accuracy", "published")),
        Answer("How sure", _say_sure(results, best), ("uncertainty", "calibration", "sets")),
        Answer("What to distrust", list_doubts(results, best) or ["Nothing was found beyond the "
                        "limits below."],
               ("limits", "subgroups")),
        Answer("What to do next", _say_next(results), ("triage", "label_errors", "quality", "reporting")),
    ]  # fmt: skip


def write_score(score: Score | None) -> str:
    """A score with its interval, in words."""
    return "not defined" if score is None else write_estimate(score.value, *(score.interval or (None, None)))


def _say_done(results: Results) -> str:
    config, folds = results.config, {(r["repeat"], r["fold"]) for r in results.records}
    return (
        f"Each hip of a pelvic CT was projected to a radiograph, and "
        f"{_count(len(results.experiments), 'network')} ({list_words(results.experiments)}) graded "
        f"it on seven "
        f"classes from normal to severe: {_count(len(results.records), 'model')}, "
        f"{len({fold for _, fold in folds})}-fold cross-validation by patient, "
        f"{_count(len({repeat for repeat, _ in folds}), 'repeat')}, "
        f"{config['predict']['passes']} passes with dropout for each hip."
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _say_whom(results: Results) -> str:
    flow = results.everything
    graded = f"{flow.predicted} of them are graded by a reader and scored."
    return (
        f"{flow.cts} CTs of {flow.patients} patients hold {flow.hips} hips: {flow.radiographs} with a "
        f"radiograph, {flow.refused} refused, {flow.excluded} excluded. {graded}"
    )


def _say_good(results: Results, best: Score | None) -> list[str]:
    if best is None:
        return ["No graded hip was predicted, so there is no accuracy."]
    count = len(results.experiments)
    near = find_score(results.scores, best.experiment, "labelled", "ONCA")
    constant = [_plain(find_score(results.scores, CONSTANT, "labelled", name)) for name in ("ECA", "ONCA")]
    chosen = f", the best of {count} and chosen on these very hips," if count > 1 else ""
    said = (
        f"{best.experiment}{chosen} graded {best.n_hips} hips of {best.n_patients} patients that it had not "
        f"seen: exactly right (ECA) {write_score(best)}, at most one class off (ONCA) {write_score(near)}, "
        f"shares with 95 % intervals, patients resampled, against ECA {constant[0]} and ONCA "
        f"{constant[1]} of "
        "the best constant answer."
    )
    external = find_score(results.scores, best.experiment, "external", "ECA")
    return [said] + ([f"External cohort: ECA {write_score(external)}."] if external else [])


def _plain(score: Score | None) -> str:
    return "not defined" if score is None or score.value is None else f"{score.value:.3f}"


def _say_sure(results: Results, best: Score | None) -> list[str]:
    if best is None:
        return ["Nothing was scored."]
    own = {"experiment": best.experiment, "cohort": "labelled"}
    detection, sets = results.table("detection.csv"), results.table("conformal.csv")
    said = {**own, "measure": results.measure, "event": "error >= 1", "prediction": "per repeat"}
    # Of a regression its variance; of a classification that of the probability.
    measure = name_measure(results.measure)
    found = find_row(detection, **said, metric="AUROC")
    held, size = (
        find_row(sets, **own, level="0.9", hips="all", metric=name) for name in ("coverage", "mean size")
    )
    sentences = [
        f"The uncertainty ({measure}) tells a wrong grade from a right one with AUROC "
        f"{write_row(found)}; 0.5 is chance.",
        _say_kept(results, said, best),
    ]
    if held and size:
        sentences.append(
            f"Sets of neighbouring classes meant to hold the true class in 90 % of the hips held it in "
            f"{100 * float(held['value']):.0f} % with {float(size['value']):.1f} classes on average."
        )
    return [sentence for sentence in sentences if sentence]


def _say_kept(results: Results, said: dict[str, str], best: Score) -> str:
    kept = find_row(results.table("detection.csv"), **said, metric="risk at 80 % coverage")
    if kept is None or best.value is None:
        return ""
    return (
        f"If a person read the least sure fifth, {float(kept['value']):.3f} of the rest would be "
        f"graded wrongly "
        f"instead of {1 - best.value:.3f} of all."
    )


def _say_next(results: Results) -> list[str]:
    ranked = [row for row in results.triage if row["rank"]]
    aside = len(results.triage) - len(ranked)
    first = f": first {list_words([row['hip_id'] for row in ranked[:_FIRST]])}" if ranked else ""
    noted = sum(bool(hip.warnings) for hip in results.hips)
    sentences = [
        f"{len(ranked)} unread hips are ranked for reading{first}; {aside} are set aside with the reason."
    ]
    doubted = sum(row["doubted"] == "yes" for row in results.table("label_errors.csv"))
    if doubted:
        sentences.append(f"Read {doubted} labelled hips a second time: the models doubt their labels.")
    if noted:
        sentences.append(f"Look at the {noted} hips with a warning before any number is believed.")
    return [*sentences, "Fill in the items for a paper that only a person can answer."]
