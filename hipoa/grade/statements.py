"""What is said of a grade, in words that follow from its probability and its set by stated rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hipoa.core.constants import ROMAN, SIDE_NAMES
from hipoa.evaluation.conformal.conform import HALF
from hipoa.evaluation.predictions import N_GRADES

GUESS = 2 / N_GRADES
"""Twice the probability of a guess among the classes, below which a grade counts as little more than one."""
SURE = 0.8

_METAL = "There is metal near it, of which the models may have seen little or nothing."

Record = Mapping[str, Any]


def judge_probability(probability: float) -> str:
    """What the probability of the predicted class means in words. The rule is ours.

    Its bounds are 2/7, twice that of a guess, 1/2, below which the other classes together are more probable,
    and 0.8.
    """
    if probability < GUESS:
        return "little more than a guess among seven"
    if probability < 0.5:
        return "more likely wrong than right"
    return "more likely right than wrong" if probability < SURE else "the models are fairly sure"


def describe_set(hip: Record) -> str:
    """The conformal set of a hip: which classes, and whether it settles anything; "" where it has none.

    Its classes are adjacent; there are none at all if the labelled patients do not suffice for a set.
    """
    if "set" not in hip:
        return ""
    name, classes = f"{100 * hip['set_level']:.3g} % set", hip["set"]
    if classes is None:
        return f"no {name}: the study has too few labelled patients for one"
    if len(classes) == N_GRADES:
        return f"{name}: every class, so it settles nothing"
    first, last = classes[0], classes[-1]
    if first == last:
        return f"{name}: class {first} alone"
    settles = ", more than half of all: it settles little" if len(classes) >= HALF else ""
    return f"{name}: classes {first} to {last}{settles}"


def describe_class(crowe: int, kl: int) -> str:
    """A class by its two indices, such as "Crowe III, KL 4"."""
    return f"Crowe {ROMAN[crowe]}, KL {kl}"


def describe_hip(hip: Record) -> str:
    """The grade of one hip, or why it has none; without a full stop."""
    if hip["grade"] is None:
        return f"not graded: {hip['reason']}"
    probability = hip["probability"]
    return (
        f"{describe_class(hip['crowe'], hip['kl'])} (class {hip['grade']}), probability "
        f"{100 * probability:.0f} %: {judge_probability(probability)}"
    )


def describe_likeness(hip: Record) -> str:
    """How a hip's features compare with those of the study's hips, in one sentence."""
    closer = hip["closer_than_this"]
    if closer is None:
        return "Whether it is like the hips of the study is not known: they are too few."
    if hip["unlike_the_study"]:
        return "It is unlike the hips of the study: do not rely on its grade."
    return f"It is within the range of the study's hips: {100 * closer:.0f} % of them are more typical."


def print_lines(record: Record) -> tuple[list[str], list[str]]:
    """What the command prints, on standard output and as warnings."""
    said, warned = [], []
    for side, hip in record["hips"].items():
        name = f"{SIDE_NAMES[side].capitalize()} hip"
        said.append("; ".join(filter(None, (f"{name}: {describe_hip(hip)}", describe_set(hip)))))
        if hip["grade"] is not None:
            warned += [f"{name}: warning: {reason}" for reason in list_doubts(hip)]
    return [*said, *record["caveats"]], [*warned, *record["warnings"]]


def list_doubts(hip: Record) -> list[str]:
    """Why the grade of a graded hip should not be relied on, whatever its probability."""
    doubts = [describe_likeness(hip)] if hip["unlike_the_study"] else []
    return doubts + ([_METAL] if hip["implant"] else [])
