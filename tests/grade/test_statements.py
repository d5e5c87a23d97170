"""What is said of a grade follows from its probability and its set by stated rules."""

import pytest

from hipoa.grade.statements import (
    describe_hip,
    describe_likeness,
    describe_set,
    judge_probability,
    print_lines,
)

HIP = {
    "grade": 6,
    "crowe": 3,
    "kl": 4,
    "probability": 0.15,
    "set": [3, 4, 5, 6],
    "set_level": 0.9,
    "closer_than_this": 0.4,
    "unlike_the_study": False,
    "implant": "",
}
REPLACED = {"grade": None, "reason": "the joint is replaced", "implant": "replacement"}


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.15, "little more than a guess among seven"),
        (0.285, "little more than a guess among seven"),
        (0.286, "more likely wrong than right"),
        (0.499, "more likely wrong than right"),
        (0.5, "more likely right than wrong"),
        (0.8, "the models are fairly sure"),
        (1.0, "the models are fairly sure"),
    ],
)
def test_the_words_follow_from_the_probability(probability, words):
    assert judge_probability(probability) == words


def test_a_grade_is_said_in_one_line_with_its_indices_first():
    told = "Crowe III, KL 4 (class 6), probability 15 %: little more than a guess among seven"
    assert describe_hip(HIP) == told
    (line,), warned = print_lines({"hips": {"L": HIP}, "caveats": [], "warnings": []})
    assert line == f"Left hip: {told}; 90 % set: classes 3 to 6, more than half of all: it settles little"
    assert warned == []


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ([2], "90 % set: class 2 alone"),
        ([2, 3, 4], "90 % set: classes 2 to 4"),
        ([2, 3, 4, 5], "90 % set: classes 2 to 5, more than half of all: it settles little"),
        ([1, 2, 3, 4, 5, 6, 7], "90 % set: every class, so it settles nothing"),
        (None, "no 90 % set: the study has too few labelled patients for one"),
    ],
)
def test_a_set_says_whether_it_settles_anything(classes, told):
    assert describe_set(HIP | {"set": classes}) == told
    assert describe_set({"grade": 1}) == ""


def test_a_replaced_hip_has_no_grade_and_no_doubts_of_one():
    said, warned = print_lines({"hips": {"R": REPLACED, "L": HIP}, "caveats": [], "warnings": ["R: metal"]})
    assert said[0] == "Right hip: not graded: the joint is replaced"
    assert warned == ["R: metal"]


def test_what_speaks_against_a_grade_is_a_warning():
    hip = HIP | {"unlike_the_study": True, "closer_than_this": 1.0, "implant": "fixation"}
    _, warned = print_lines({"hips": {"R": hip}, "caveats": [], "warnings": []})
    assert warned == [
        "Right hip: warning: It is unlike the hips of the study: do not rely on its grade.",
        "Right hip: warning: There is metal near it, of which the models may have seen little or nothing.",
    ]
    assert "within the range" in describe_likeness(HIP)
    assert "not known" in describe_likeness(HIP | {"closer_than_this": None})
