"""How far the built-in locator is off, on synthetic CTs with known hip centres.

    python benchmarks/locator.py --n 150 --json locator.json

Every volume is a synthetic patient of the built-in cohort, laid and scanned at random: voxels of 0.5-5 mm,
noise, turned, prone, feet first, arms beside the body, contrast medium, a table, nails and replaced hips,
flexed femora, fields of view that hold one hip, cut a head, or hold none.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy.spatial.transform import Rotation

from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.body import find_body
from hipoa.imaging.ct.image import Image, to_canonical
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.hip_centres import HipCentres
from hipoa.imaging.localization.locator import locate
from hipoa.imaging.settings import ProjectSettings
from hipoa.phantom.anatomy.build import build_hip
from hipoa.phantom.anatomy.disease import draw_disease
from hipoa.phantom.anatomy.hip import Hip, Person, draw_person
from hipoa.phantom.anatomy.solids import Ellipsoid, Grid, RoundCone, Solid, fraction
from hipoa.phantom.cohort.measure import fit_head
from hipoa.phantom.scanner.scanner import ORDERS, add_noise
from hipoa.phantom.scanner.voxels import render

KINDS = (
    "plain",
    "arms",
    "contrast",
    "turned",
    "prone",
    "implant",
    "migrated",
    "low",
    "one hip",
    "cut",
    "none",
    "flexed",
)
"""What each volume is there for, in turn; the other circumstances are drawn for all of them."""

_LOW_MM, _HIGH_MM = np.array([-224.0, -172.0, -112.0]), np.array([224.0, 140.0, 166.0])
_MOST_VOXELS, _WIDEST_MM = 6e6, 5.0
_WHOLE = {"arms", "turned", "prone", "one hip", "none"}
_WRONG_MM = 20.0
# What the confidence promises, and where it is looked at.
_WITHIN_MM, _BANDS = 6.0, (0.5, 0.7, 0.85, 0.95, 1.001)
# A head is to be found if the CT holds its centre and this share of its radius beyond; to be refused if it
# ends before the centre; between the two either is right.
_HELD = 0.7


@dataclass
class Scene:
    """One synthetic volume and what is to be found in it.

    Attributes:
        kind: Of :data:`KINDS`.
        volume: The CT.
        centres: Of the heads in RAS mm, by side.
        expected: By side "found", "missing" or "either".
        grades: By side the class 1-7, or the implant.
        spacing_mm: Of the CT as it was scanned (3,).
    """

    kind: str
    volume: Volume
    centres: dict[str, np.ndarray]
    expected: dict[str, str]
    grades: dict[str, str]
    spacing_mm: np.ndarray


@dataclass
class Plan:
    """What is drawn about one volume before it is rendered."""

    person: Person
    hips: dict[str, Hip]
    spacing_mm: np.ndarray
    noise_hu: float
    pose: np.ndarray
    implants: dict[str, str] = field(default_factory=dict)
    extras: list[tuple[list[Solid], float]] = field(default_factory=list)


@dataclass(frozen=True)
class Turned:
    """A solid turned about a point.

    Attributes:
        solid: What is turned.
        centre: About which point (3,), mm.
        matrix: How (3, 3).
    """

    solid: Solid
    centre: np.ndarray
    matrix: np.ndarray

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance in mm of points (3, ...), negative inside."""
        middle = self.centre.reshape(3, *[1] * (points.ndim - 1))
        back = np.tensordot(self.matrix.T, points - middle, 1) + middle
        return self.solid.distance(back.astype(np.float32))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, mm."""
        corners = np.array(np.meshgrid(*np.transpose(self.solid.bounds()), indexing="ij")).reshape(3, -1)
        turned = self.matrix @ (corners - self.centre[:, None]) + self.centre[:, None]
        return turned.min(1), turned.max(1)


def flex(hip: Hip, rng: np.random.Generator) -> Hip:
    """The hip with its femur flexed by 20-60 degrees and a little abducted, about the head's centre."""
    turn = Rotation.from_euler("xy", [rng.uniform(20, 60), -rng.uniform(0, 15)], degrees=True).as_matrix()
    return replace(hip, femur=[Turned(solid, hip.head, turn) for solid in hip.femur])


def make_scene(number: int, seed: int = 7, most_voxels: float = _MOST_VOXELS) -> Scene:
    """The volume of this number; the same number, seed and most voxels give the same volume."""
    rng = np.random.default_rng([seed, number])
    kind = KINDS[number % len(KINDS)]
    plan = _draw(rng, kind, number)
    centres, radii = {}, {}
    for side, hip in plan.hips.items():
        centre, radii[side] = fit_head(hip)
        if plan.implants.get(side) == "replacement":
            centre = hip.head
        sign = 1 if side == "R" else -1
        centres[side] = (plan.pose @ [sign * centre[0], *centre[1:], 1])[:3]
    low, high = _field_of_view(rng, kind, plan, centres, radii, most_voxels)
    shape = np.maximum(2, np.ceil((high - low) / plan.spacing_mm)).astype(int)
    ras_from_ijk = np.diag([*plan.spacing_mm, 1.0])
    ras_from_ijk[:3, 3] = low
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), np.linalg.inv(plan.pose) @ ras_from_ijk)
    hips = {side: flex(hip, rng) if kind == "flexed" else hip for side, hip in plan.hips.items()}
    hu = render(grid, hips, plan.implants, rng)
    for solids, value in plan.extras:
        window, distance = grid.rasterise(solids)
        hu[window] += fraction(distance, grid.width_mm()) * (value - hu[window])
    stored, matrix = _store(add_noise(hu, plan.noise_hu, rng), ras_from_ijk, rng, kind)
    image = to_canonical(Image(stored, matrix))
    volume = Volume(image.values, image.ras_from_ijk)
    expected = {side: _expect(volume, centres[side], radii[side]) for side in SIDES}
    grades = {s: plan.implants.get(s) or str(hip.disease.grade) for s, hip in plan.hips.items()}
    return Scene(kind, volume, centres, expected, grades, plan.spacing_mm)


def _draw(rng: np.random.Generator, kind: str, number: int) -> Plan:
    person = draw_person(rng)
    hips = {}
    for side in SIDES:
        grade = int(rng.integers(6, 8) if kind == "migrated" and rng.random() < 0.7 else rng.integers(1, 8))
        grade = min(grade, 4) if kind == "flexed" else grade
        hips[side] = build_hip(person, draw_disease(rng, grade, float(rng.random())), rng)
    within, along = np.exp(rng.uniform(np.log([0.5, 0.5]), np.log([3.0, 5.0])))
    wide = 40 if kind == "turned" else 8
    turns_deg = rng.uniform(-1, 1, 3) * ([20, 12, 40] if kind == "turned" else [wide, 4, wide])
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", turns_deg, degrees=True).as_matrix()
    pose[:3, 3] = rng.uniform([-15, -15, -900], [15, 15, 200])
    plan = Plan(person, hips, np.array([within, within, along]), float(rng.uniform(3, 50)), pose)
    if kind == "implant":
        sides = SIDES if rng.random() < 0.3 else [str(rng.choice(SIDES))]
        plan.implants = {side: str(rng.choice(["replacement", "nail"])) for side in sides}
    if kind == "arms" or rng.random() < 0.15:
        plan.extras += _arms(rng)
    if kind == "contrast" or rng.random() < 0.15:
        plan.extras += _contrast(rng, person.scale)
    if rng.random() < 0.7:
        plan.extras += _table(1 if kind == "prone" else -1)
    return plan


def _arms(rng: np.random.Generator) -> list[tuple[list[Solid], float]]:
    sides = [s for s in (-1, 1) if rng.random() < 0.8] or [1]
    flesh: list[Solid] = []
    bone: list[Solid] = []
    marrow: list[Solid] = []
    for sign in sides:
        x, y, wrist = sign * rng.uniform(205, 218), rng.uniform(-40, 40), rng.uniform(-40, 60)
        flesh += [
            RoundCone((x, y, wrist + 160), (x, y, wrist), 36, 27),
            Ellipsoid((x, y, wrist - 50), (20, 42, 55)),
        ]
        for depth in (-14, 14):
            bone.append(RoundCone((x, y + depth, wrist + 160), (x, y + depth, wrist + 8), 8, 8))
            marrow.append(RoundCone((x, y + depth, wrist + 160), (x, y + depth, wrist + 8), 4, 4))
        # The carpus, and the heads of the metacarpals.
        bone.append(Ellipsoid((x, y, wrist - 14), (9, 24, 15)))
        bone += [
            RoundCone((x, y + d, wrist - 30), (x, y + 1.4 * d, wrist - 85), 5, 7) for d in (-24, -8, 8, 24)
        ]
    return [(flesh, 50.0), (bone, 900.0), (marrow, 60.0)]


def _contrast(rng: np.random.Generator, scale: float) -> list[tuple[list[Solid], float]]:
    bladder: list[Solid] = [Ellipsoid((0, 20 * scale, 10), rng.uniform(28, 46, 3))]
    vessels: list[Solid] = []
    for sign in (-1, 1):
        path = [
            np.array(p) * scale for p in ((sign * 22, 20, 150), (sign * 55, 38, 40), (sign * 82, 42, -110))
        ]
        vessels += [RoundCone(a, b, 5.5, 4.5) for a, b in pairwise(path)]
    return [(bladder, float(rng.uniform(150, 900))), (vessels, float(rng.uniform(180, 420)))]


def _table(side: int) -> list[tuple[list[Solid], float]]:
    y = side * (151 if side < 0 else 122)
    shells: list[Solid] = [
        RoundCone((x, y + side * depth, -200), (x, y + side * depth, 300), 1.5, 1.5)
        for x in range(-200, 201, 2)
        for depth in (0, 14)
    ]
    return [(shells, 150.0)]


def _field_of_view(
    rng: np.random.Generator,
    kind: str,
    plan: Plan,
    centres: dict[str, np.ndarray],
    radii: dict[str, float],
    most_voxels: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner of the CT in RAS mm."""
    low, high = _LOW_MM + plan.pose[:3, 3], _HIGH_MM + plan.pose[:3, 3]
    side = str(rng.choice(SIDES))
    if kind == "one hip":
        low, high = _one_hip(rng, low, high, centres[side], side, plan.pose[0, 3])
    elif kind == "cut":
        low[2] = centres[side][2] - rng.uniform(-0.8, 1.1) * radii[side]
    elif kind in {"low", "none"}:
        low[2], high[2] = _without(rng, kind, low[2], high[2], [centres[s][2] for s in SIDES])
    # Voxels are kept few: of a fine CT a box about both hips, or else wider voxels.
    if np.prod((high - low) / plan.spacing_mm) > most_voxels and kind not in _WHOLE:
        about = np.array([centres[s] for s in SIDES])
        margin = np.array([60, 70, 60])
        low, high = np.maximum(low, about.min(0) - margin), np.minimum(high, about.max(0) + margin)
    excess = np.prod((high - low) / plan.spacing_mm) / most_voxels
    if excess > 1:
        plan.spacing_mm = _widen(plan.spacing_mm, float(excess))
    return low, high


def _widen(spacing_mm: np.ndarray, times: float) -> np.ndarray:
    """Voxels of so many times the volume, none longer than 5 mm if the others can be."""
    wide = np.minimum(spacing_mm * times ** (1 / 3), np.maximum(spacing_mm, _WIDEST_MM))
    free = wide < _WIDEST_MM
    rest = times / np.prod(wide / spacing_mm)
    return np.where(free, wide * rest ** (1 / max(1, free.sum())), wide)


def _one_hip(
    rng: np.random.Generator,
    low: np.ndarray,
    high: np.ndarray,
    centre: np.ndarray,
    side: str,
    middle_mm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """A box about one hip, or half of the body."""
    if rng.random() < 0.5:
        return np.maximum(low, centre - 75), np.minimum(high, centre + 75)
    if side == "R":
        low[0] = middle_mm + rng.uniform(-25, 15)
    else:
        high[0] = middle_mm + rng.uniform(-15, 25)
    return low, high


def _without(
    rng: np.random.Generator, kind: str, low: float, high: float, heights: Sequence[float]
) -> tuple[float, float]:
    """Little more than the joints, or the body above or below them: the lowest and highest S in mm."""
    above, below = max(heights), min(heights)
    if kind == "low":
        return (
            (low, above + rng.uniform(35, 70)) if rng.random() < 0.5 else (below - rng.uniform(30, 45), high)
        )
    return (above + rng.uniform(40, 60), high) if rng.random() < 0.6 else (low, below - rng.uniform(32, 45))


def _store(
    hu: np.ndarray, ras_from_ijk: np.ndarray, rng: np.random.Generator, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """As a file has it: feet first or prone the slices and rows run the other way, and the affine says so."""
    order = "RPI" if kind == "prone" else str(rng.choice(ORDERS))
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(order))
    stored = np.ascontiguousarray(apply_orientation(hu, turn))
    return stored, ras_from_ijk @ inv_ornt_aff(turn, hu.shape)


def _expect(volume: Volume, centre: np.ndarray, radius_mm: float) -> str:
    if not volume.contains(centre):
        return "missing"
    ways = np.concatenate([np.eye(3), -np.eye(3)])
    held = all(volume.contains(centre + _HELD * radius_mm * way) for way in ways)
    return "found" if held else "either"


def score(scene: Scene, found: HipCentres) -> Iterator[dict[str, object]]:
    """One row per side: what was to be found, what was, and how far it is off."""
    for side in SIDES:
        hip, other = found.hips.get(side), scene.centres["R" if side == "L" else "L"]
        row: dict[str, object] = {
            "kind": scene.kind,
            "side": side,
            "grade": scene.grades[side],
            "spacing_mm": scene.spacing_mm.round(2).tolist(),
            "expected": scene.expected[side],
            "outcome": "missing",
        }
        if hip is None:
            row["reason"] = found.missing[side]
        else:
            centre = np.array(hip.centre_ras_mm)
            error = float(np.linalg.norm(centre - scene.centres[side]))
            if error > _WRONG_MM and np.linalg.norm(centre - other) < _WRONG_MM:
                row["outcome"] = "exchanged"
            elif error > _WRONG_MM or scene.expected[side] == "missing":
                row["outcome"] = "invented"
            else:
                row["outcome"] = "found"
            row |= {"error_mm": error, "confidence": hip.confidence, "replaced": hip.replaced}
            row |= {"radius_mm": hip.radius_mm, "offset_mm": (centre - scene.centres[side]).round(2).tolist()}
        yield row


def summarise(rows: Sequence[dict]) -> dict[str, object]:
    """The figures of some rows."""
    errors = np.array([row["error_mm"] for row in rows if row["outcome"] == "found"])
    wanted = [row for row in rows if row["expected"] == "found"]
    figures: dict[str, object] = {
        "hips": len(wanted),
        "found": sum(row["outcome"] == "found" for row in wanted),
        "refused": sum(row["outcome"] == "missing" for row in wanted),
        "exchanged": sum(row["outcome"] == "exchanged" for row in rows),
        "invented": sum(row["outcome"] == "invented" for row in rows),
    }
    if len(errors):
        figures |= {
            "median_mm": float(np.median(errors)),
            "p95_mm": float(np.percentile(errors, 95)),
            "max_mm": float(errors.max()),
        }
    return figures


def by_confidence(rows: Sequence[dict]) -> list[dict[str, float]]:
    """By bands of the confidence: how many were found, and how many of them lie within 6 mm."""
    found = [row for row in rows if "error_mm" in row]
    bands = []
    for low, high in pairwise(_BANDS):
        errors = [row["error_mm"] for row in found if low <= row["confidence"] < high]
        if errors:
            within = float(np.mean(np.array(errors) <= _WITHIN_MM))
            bands.append({"from": low, "to": min(high, 1.0), "n": len(errors), "within_6_mm": within})
    return bands


def time_locator(shape: tuple[int, int, int] = (512, 512, 400), seed: int = 7) -> dict[str, float]:
    """Seconds for a CT of this size, 0.75 x 0.75 x 1.25 mm; the best of three."""
    rng = np.random.default_rng([seed])
    plan = _draw(rng, "plain", 0)
    coarse = 5
    spacing = np.array([0.75, 0.75, 1.25]) * [coarse, coarse, 4]
    ras_from_ijk = np.diag([*spacing, 1.0])
    ras_from_ijk[:3, 3] = -spacing * np.array([51, 51, 50]) + [0, 0, 40]
    grid = Grid((103, 103, 100), np.linalg.inv(np.eye(4)) @ ras_from_ijk)
    hu = add_noise(render(grid, plan.hips, {}, rng), 12, rng)
    fine = hu.repeat(coarse, 0).repeat(coarse, 1).repeat(4, 2)[: shape[0], : shape[1], : shape[2]]
    ras_from_ijk[:3, :3] = np.diag([0.75, 0.75, 1.25])
    volume = Volume(np.asfortranarray(fine), ras_from_ijk)
    body_s, locate_s = [], []
    for _ in range(3):
        started = time.perf_counter()
        body = find_body(volume)
        between = time.perf_counter()
        locate(volume, body, _least())
        body_s.append(between - started)
        locate_s.append(time.perf_counter() - between)
    return {"find_body_s": min(body_s), "locate_s": min(locate_s)}


def _least() -> float:
    return ProjectSettings.model_validate({}).locator_confidence


def main() -> None:
    """Makes the volumes, locates their hips and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=150, help="number of volumes")
    parser.add_argument("--seed", type=int, default=7, help="of everything drawn")
    parser.add_argument(
        "--voxels",
        type=float,
        default=_MOST_VOXELS,
        help="most voxels of a volume; fewer are quicker to make",
    )
    parser.add_argument("--json", type=Path, help="where to write all figures and rows")
    options = parser.parse_args()
    rows: list[dict] = []
    for number in range(options.n):
        scene = make_scene(number, options.seed, options.voxels)
        found = locate(scene.volume, find_body(scene.volume), _least())
        rows += [{"number": number, **row} for row in score(scene, found)]
    groups = {"all": rows, **{kind: [r for r in rows if r["kind"] == kind] for kind in KINDS}}
    groups |= {
        f"grade {g}": [r for r in rows if r["grade"] == g] for g in (*"1234567", "nail", "replacement")
    }
    figures = {name: summarise(group) for name, group in groups.items() if group}
    names = ("hips", "found", "refused", "exchanged", "invented", "median_mm", "p95_mm", "max_mm")
    print(" | ".join(("volumes", *names)))
    for name, values in figures.items():
        cells = [values.get(key, "") for key in names]
        print(" | ".join([name, *(f"{c:.1f}" if isinstance(c, float) else str(c) for c in cells)]))
    bands = by_confidence(rows)
    for band in bands:
        print(", ".join(f"{key} {value:.2f}" for key, value in band.items()))
    seconds = time_locator()
    print(f"512 x 512 x 400: find_body {seconds['find_body_s']:.2f} s, locate {seconds['locate_s']:.2f} s")
    if options.json:
        record = {
            "n": options.n,
            "seed": options.seed,
            "voxels": options.voxels,
            "figures": figures,
            "by_confidence": bands,
            "seconds": seconds,
            "rows": rows,
        }
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
