"""The severity of each simulated hip, and its signs of osteoarthritis in millimetres.

A hip's latent severity is a number 0-1; its class, a (Crowe, KL) pair, and the severity within the class
follow from it, so that severity is continuous within a grade and correlates between a patient's two hips
and visits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from hipoa.core.constants import CLASS_TABLE

# Our choice. Demo: all seven classes in 24 patients. Study, whose distribution Masuda et al. 2024 do not
# publish: a surgical clinic, most hips severe (classes 3-5), few highly dislocated (6, 7). The external
# hospital sees more severe hips.
_DEMO, _STUDY = (0.18, 0.14, 0.14, 0.14, 0.14, 0.13, 0.13), (0.16, 0.12, 0.16, 0.30, 0.12, 0.08, 0.06)
SHARES_OF_POPULATION = {
    "demo": {"labelled": _DEMO, "external": (0.10, 0.12, 0.14, 0.16, 0.18, 0.15, 0.15), "pool": _DEMO},
    "study": {"labelled": _STUDY, "external": (0.10, 0.10, 0.15, 0.33, 0.15, 0.10, 0.07), "pool": _STUDY},
}
"""Population and cohort to the shares of the classes 1-7."""
_PROGRESS = 0.03  # of the latent severity, between two visits
_CORRELATION = 0.6  # of the normal scores of a patient's two hips; our choice
# The second dimension of the plastic-number sequence (Roberts 2018), as evenly spread as Halton's.
_STEPS = np.array([0.7548776662466927, 0.5698402909980532])

# Least joint space, osteophyte, plate factor, sclerosis, cysts, their diameter, flattening: (from, to)
# within the grade, mild to severe. Our choice, guided by method notes on KL: no publication gives KL in mm.
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
    """The signs of osteoarthritis to draw at one hip."""

    grade: int  # class 1-7
    severity: float  # within the class, 0-1
    joint_space_mm: float  # least distance of head and socket
    osteophyte_mm: float  # length of the largest
    plate_factor: float  # thickness of the subchondral plate over the normal one
    sclerosis_hu: float  # added about the loaded point of the joint
    cyst_mm: tuple[float, ...]  # diameter of each subchondral cyst
    flattening: float  # lost share of the head's diameter along the load
    height: float | None  # of the medial head-neck junction over pelvic height; None: not migrated
    lateral_mm: float  # how far a migrated head lies lateral of the socket
    centre_edge_deg: float  # coverage of the head by the socket's roof, from the vertical

    @property
    def crowe(self) -> int:
        """Crowe 1-4."""
        return CLASS_TABLE[self.grade - 1][0]

    @property
    def kl(self) -> int:
        """Kellgren-Lawrence 1-4."""
        return CLASS_TABLE[self.grade - 1][1]


def stream(seed: int, name: str, purpose: str) -> np.random.Generator:
    """A generator that depends on a seed, a name and a purpose alone."""
    digest = hashlib.sha256(f"{name}/{purpose}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def draw_latents(seed: int, drawn_as: str, number: int, visit: int) -> dict[str, float]:
    """The latent severity 0-1 of a patient's right and left hip.

    Any number of patients of a cohort is spread evenly over severity, and each depends on its own number
    alone, counted from 1. A second visit (1) is a little worse than the first (0).
    """
    rng = stream(seed, drawn_as, "latents")
    even = (rng.random(2) + number * _STEPS) % 1
    first, other = ndtri(np.clip(even, 1e-6, 1 - 1e-6))
    second = _CORRELATION * first + np.sqrt(1 - _CORRELATION**2) * other
    scores = ndtr([first, second]) + _PROGRESS * visit
    sides = ("R", "L") if stream(seed, f"{drawn_as}{number}", "side").random() < 0.5 else ("L", "R")
    return {side: min(float(score), 1 - 1e-6) for side, score in zip(sides, scores, strict=True)}


def grade_of(latent: float, drawn_as: str, population: str) -> tuple[int, float]:
    """The class 1-7 of a latent severity, and the severity 0-1 within the class."""
    edges = np.concatenate([[0], np.cumsum(SHARES_OF_POPULATION[population][drawn_as])])
    grade = int(np.clip(np.searchsorted(edges, latent, side="right"), 1, 7))
    return grade, float((latent - edges[grade - 1]) / (edges[grade] - edges[grade - 1]))


def draw_disease(rng: np.random.Generator, grade: int, severity: float) -> Disease:
    """The signs of a hip of this class: mostly by its severity, in part by chance."""

    def within(between: tuple[float, float]) -> float:
        share = 0.7 * severity + 0.3 * rng.random()
        return between[0] + share * (between[1] - between[0])

    crowe, kl = CLASS_TABLE[grade - 1]
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
