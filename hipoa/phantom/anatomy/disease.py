"""How severe each hip is, what that looks like in millimetres, and what two readers call it.

The seven classes are the staircase of (Crowe, KL) pairs. A hip's latent severity is a number 0-1; its
class and its place within the class follow from it, so that severity is continuous within a grade and
a patient's two hips, and two visits, belong together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import root_scalar
from scipy.special import bdtrc, ndtr, ndtri

CLASSES = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))

# Ours: all seven classes in 24 patients; the external hospital sees more severe hips.
SHARES = {
    "labelled": (0.18, 0.14, 0.14, 0.14, 0.14, 0.13, 0.13),
    "external": (0.10, 0.12, 0.14, 0.16, 0.18, 0.15, 0.15),
    "pool": (0.18, 0.14, 0.14, 0.14, 0.14, 0.13, 0.13),
}
# Ours: the source does not publish its distribution. Meant for a surgical clinic: most hips severe
# (classes 3-5), few highly dislocated (6, 7); the external hospital's a little more severe.
_STUDY_SHARES = {
    "labelled": (0.16, 0.12, 0.16, 0.30, 0.12, 0.08, 0.06),
    "external": (0.10, 0.10, 0.15, 0.33, 0.15, 0.10, 0.07),
    "pool": (0.16, 0.12, 0.16, 0.30, 0.12, 0.08, 0.06),
}
SHARES_OF_POPULATION = {"demo": SHARES, "study": _STUDY_SHARES}
"""Population and cohort to the shares of the classes 1-7."""
_PROGRESS = 0.03
# Of the normal scores of a patient's two hips. Ours.
_CORRELATION = 0.6
# Of the errors, each class further away gets this times its nearer neighbour's share.
_FARTHER = 0.15
# The second dimension of the plastic-number sequence (Roberts 2018), as evenly spread as Halton's.
_STEPS = np.array([0.7548776662466927, 0.5698402909980532])

# Least joint space, osteophyte, plate factor, sclerosis, cysts, their diameter, flattening: (from, to)
# within the grade, mild to severe. Ours, guided by method notes on KL: no source gives KL in mm.
_BY_KL = {
    1: ((4.5, 3.0), (0, 1.5), (1.0, 1.1), (0, 0), (0, 0), (0, 0), (0, 0)),
    2: ((3.2, 2.0), (1.5, 3.5), (1.2, 1.4), (50, 150), (0, 1), (2, 3), (0, 0)),
    3: ((2.0, 0.8), (3, 6), (1.5, 1.8), (150, 350), (1, 4), (2, 6), (0, 0.08)),
    4: ((0.8, 0.0), (5, 10), (1.8, 2.4), (300, 600), (3, 10), (3, 11), (0.08, 0.25)),
}
# Height of the medial head-neck junction above the teardrops over pelvic height. Source: Crowe 1979,
# as in the tables of the grade (I below 0.10, II to 0.15, III to 0.20, IV above); kept off the borders.
_HEIGHT_BY_CROWE = {2: (0.105, 0.145), 3: (0.155, 0.195), 4: (0.205, 0.250)}
_LATERAL_MM = (14, 16)
_CENTRE_EDGE_DEG = (27, 40)


@dataclass(frozen=True)
class Disease:
    """What is drawn at one hip, mm, HU and fractions.

    Attributes:
        grade: Class 1-7.
        severity: Place within the class, 0-1.
        joint_space_mm: Least distance of head and socket.
        osteophyte_mm: How far the largest osteophyte stands out.
        plate_factor: Thickness of the subchondral plate over the normal one.
        sclerosis_hu: Added about the loaded point of the joint.
        cyst_mm: Diameter of each subchondral cyst.
        flattening: Lost share of the head's diameter along the load.
        height: Height of the medial head-neck junction over pelvic height; None where not migrated.
        lateral_mm: How far a migrated head lies lateral of the socket.
        centre_edge_deg: How far the socket's roof covers the head, from the vertical.
    """

    grade: int
    severity: float
    joint_space_mm: float
    osteophyte_mm: float
    plate_factor: float
    sclerosis_hu: float
    cyst_mm: tuple[float, ...]
    flattening: float
    height: float | None
    lateral_mm: float
    centre_edge_deg: float

    @property
    def crowe(self) -> int:
        """Crowe 1-4."""
        return CLASSES[self.grade - 1][0]

    @property
    def kl(self) -> int:
        """Kellgren-Lawrence 1-4."""
        return CLASSES[self.grade - 1][1]


def stream(seed: int, name: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on a seed, a name and a purpose, and on nothing else drawn."""
    digest = hashlib.sha256(f"{name}/{purpose}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def draw_latents(seed: int, drawn_as: str, number: int, visit: int) -> dict[str, float]:
    """The latent severity 0-1 of a patient's right and left hip.

    The patients of a cohort are spread evenly over severity, whatever their number is, and each depends
    on its own number alone. A second visit is a little worse.

    Args:
        seed: The cohort's seed.
        drawn_as: The cohort the patient is drawn from.
        number: The patient's number in it, from 1.
        visit: 0 or 1.
    """
    rng = stream(seed, drawn_as, "latents")
    even = (rng.random(2) + number * _STEPS) % 1
    first, other = ndtri(np.clip(even, 1e-6, 1 - 1e-6))
    second = _CORRELATION * first + np.sqrt(1 - _CORRELATION**2) * other
    scores = ndtr([first, second]) + _PROGRESS * visit
    sides = ("R", "L") if stream(seed, f"{drawn_as}{number}", "side").random() < 0.5 else ("L", "R")
    return {side: min(float(score), 1 - 1e-6) for side, score in zip(sides, scores, strict=True)}


def grade_of(latent: float, drawn_as: str, population: str = "demo") -> tuple[int, float]:
    """The class 1-7 of a latent severity, and the place 0-1 within the class."""
    edges = np.concatenate([[0], np.cumsum(SHARES_OF_POPULATION[population][drawn_as])])
    grade = int(np.clip(np.searchsorted(edges, latent, side="right"), 1, 7))
    return grade, float((latent - edges[grade - 1]) / (edges[grade] - edges[grade - 1]))


def draw_disease(rng: np.random.Generator, grade: int, severity: float) -> Disease:
    """What a hip of this class and severity looks like; mostly severity, in part chance."""

    def within(between: tuple[float, float]) -> float:
        share = 0.7 * severity + 0.3 * rng.random()
        return between[0] + share * (between[1] - between[0])

    crowe, kl = CLASSES[grade - 1]
    space, osteophyte, plate, sclerosis, cysts, diameter, flattening = _BY_KL[kl]
    number = round(within(cysts))
    return Disease(
        grade=grade,
        severity=severity,
        joint_space_mm=within(space),
        osteophyte_mm=within(osteophyte),
        plate_factor=within(plate),
        sclerosis_hu=within(sclerosis),
        # Many cysts are small ones: the subchondral bone has no room for ten of 11 mm.
        cyst_mm=tuple(
            float(diameter[0] + rng.random() ** (1 + number / 3) * (diameter[1] - diameter[0]))
            for _ in range(number)
        ),
        flattening=within(flattening),
        height=within(_HEIGHT_BY_CROWE[crowe]) if crowe > 1 else None,
        lateral_mm=float(rng.uniform(*_LATERAL_MM)) if crowe > 1 else 0.0,
        centre_edge_deg=float(rng.uniform(*_CENTRE_EDGE_DEG)),
    )


def reading_law(error: float) -> np.ndarray:
    """The probability (7, 7) that a reader calls a class (row) each class (column).

    Args:
        error: Probability of any other class; nearer classes are likelier.
    """
    away = np.abs(np.subtract.outer(np.arange(7), np.arange(7)))
    wrong = np.where(away > 0, _FARTHER ** (away - 1.0), 0)
    return error * wrong / wrong.sum(1, keepdims=True) + (1 - error) * np.eye(7)


def kappa_of(error: float, share: tuple[float, ...]) -> float:
    """The expected unweighted kappa of two independent readers with this probability of error.

    Args:
        error: Of each reader, against the true class.
        share: The seven classes' shares.
    """
    law, share_of_class = reading_law(error), np.array(share)
    agree = float(share_of_class @ (law**2).sum(1))
    by_chance = float(((share_of_class @ law) ** 2).sum())
    return (agree - by_chance) / (1 - by_chance)


def error_for(kappa: float, share: tuple[float, ...] = SHARES["labelled"]) -> float:
    """The readers' probability of error that gives this reader-reader kappa."""
    if kappa >= 1:
        return 0.0
    found = root_scalar(lambda error: kappa_of(error, share) - kappa, bracket=(0, 0.8))
    return float(found.root)


class Ceiling(NamedTuple):
    """The best expected accuracies, shares of hips 0-1: exact class, and at most one class off."""

    eca: float
    onca: float


def label_law(error: float, readers: int) -> np.ndarray:
    """The probability (7, 7) that the median of independent readings of a class (row) is each class (column).

    The k-th lowest of n readings is at most c where at least k of them are: a binomial tail of the
    probability that one is (source: David and Nagaraja, Order Statistics, 2003, section 2.1).

    Args:
        error: Of each reader, see `reading_law`.
        readers: Readings per hip, a count; of two middle ones the milder counts, as in a label.
    """
    at_most = np.minimum(np.cumsum(reading_law(error), axis=1), 1)
    return np.diff(bdtrc((readers - 1) // 2, readers, at_most), axis=1, prepend=0)


def find_ceiling(error: float, share: tuple[float, ...], readers: int = 1) -> Ceiling:
    """What an oracle that knows every hip's true class scores against the readers' label, expected.

    It gives, for each true class, the one answer that the label most often is (ECA), or is most often
    near (ONCA): as in Bayes' error rate, nothing seen in a hip tells how its readers will err.

    Args:
        error: Of each reader, against the true class.
        share: The seven true classes' shares.
        readers: Readings per hip whose median is the label, a count.
    """
    law = label_law(error, readers)
    near = np.abs(np.subtract.outer(np.arange(7), np.arange(7))) <= 1
    share_of_class = np.array(share)
    return Ceiling(float(share_of_class @ law.max(1)), float(share_of_class @ (law @ near).max(1)))


def read_hip(rng: np.random.Generator, grade: int, error: float) -> tuple[int, int]:
    """What one reader writes down for a hip of a class: Crowe and KL."""
    return CLASSES[rng.choice(7, p=reading_law(error)[grade - 1])]
