"""Closed forms: the share of a ball that a screw or a head fills, and of all directions that a cup covers."""

import numpy as np
import pytest

from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.implants import find_implant, measure_cover, measure_fill

NECK = np.array([0.7, 0.0, -0.714])
SPACINGS_MM = [(1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (1.0, 1.0, 5.0)]
CUP = np.array([-0.7, 0.0, 0.714])


def norm(points):
    return np.linalg.norm(points, axis=-1)


def rod(points, start, end, radius_mm):
    start, way = np.array(start), np.subtract(end, start)
    along = np.clip((points - start) @ way / (way @ way), 0, 1)
    return norm(points - start - along[..., None] * way) <= radius_mm


def screw(points, diameter_mm, beside=(0, 0, 0)):
    """From the trochanter through the head to 10 mm below its surface."""
    return rod(points, beside - 14 * NECK, beside + 75 * NECK, diameter_mm / 2)


def cap(points, inner_mm, outer_mm, half_angle_deg, axis=CUP):
    depth = norm(points)
    inside = (depth >= inner_mm) & (depth <= outer_mm)
    return inside & (points @ axis >= np.cos(np.radians(half_angle_deg)) * depth)


def plate(points, behind_mm):
    away = np.abs(points + np.array([0, behind_mm, 0]))
    return (away <= [6, 1.75, 45]).all(-1)


FIXATION = {
    "lag screw of 10 mm": lambda p: screw(p, 10),
    "sliding hip screw of 13 mm": lambda p: screw(p, 13),
    "screw beside the centre": lambda p: screw(p, 12, (0, 6, 0)),
    "three screws": lambda p: (
        screw(p, 7.3, (0, 6, 0)) | screw(p, 7.3, (4, -4, 4)) | screw(p, 7.3, (-4, -4, -4))
    ),
    "nail and screw": lambda p: rod(p, (48, 0, 30), (55, 0, -60), 8.5) | screw(p, 11),
    "plates on both columns": lambda p: plate(p, 28) | plate(p, -28),
}
REPLACEMENTS = {
    "head of 22 mm": lambda p: norm(p) <= 11.1,
    "head of 36 mm on its stem": lambda p: (norm(p) <= 18) | rod(p, (0, 0, 0), 45 * NECK, 6),
    "plastic head in a metal cup": lambda p: cap(p, 22, 26, 80) | rod(p, (0, 0, 0), 45 * NECK, 6),
    "resurfacing": lambda p: cap(p, 19, 22, 100) | rod(p, (0, 0, 0), 25 * NECK, 4),
}


def draw(shape, spacing_mm, hu=3071):
    """A CT of 12 cm in which this shape, a function of points (..., 3) about the centre, is metal."""
    ras_from_ijk = np.diag([*spacing_mm, 1.0])
    ras_from_ijk[:3, 3] = -59.7
    counts = (int(120 / step) for step in spacing_mm)
    index = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1)
    points = index * spacing_mm - 59.7
    return Volume(np.where(shape(points), hu, 300).astype(np.int16), ras_from_ijk)


@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
@pytest.mark.parametrize("kind", FIXATION)
def test_nails_screws_and_plates_are_fixation(kind, spacing_mm):
    volume = draw(FIXATION[kind], spacing_mm)
    for centre in ([0, 0, 0], [6, 0, 0], [-3, 4, -3]):
        assert find_implant(volume, np.array(centre, float)) == "fixation"


@pytest.mark.parametrize("spacing_mm", SPACINGS_MM)
@pytest.mark.parametrize("kind", REPLACEMENTS)
def test_a_head_a_cup_or_a_cap_is_a_replacement(kind, spacing_mm):
    volume = draw(REPLACEMENTS[kind], spacing_mm)
    for centre in ([0, 0, 0], [6, 0, 0], [-3, 4, -3]):
        assert find_implant(volume, np.array(centre, float)) == "replacement"


def test_a_mark_15_mm_beside_a_metal_head_finds_it():
    volume = draw(lambda points: norm(points) <= 16, (1.0, 1.0, 1.0))
    assert find_implant(volume, np.array([9.0, 9.0, 8.0])) == "replacement"


@pytest.mark.parametrize("radius_mm", [4.0, 5.0, 6.5, 7.5])
def test_the_share_that_a_screw_through_the_centre_fills(radius_mm):
    volume = draw(lambda points: rod(points, -40 * NECK, 40 * NECK, radius_mm), (1.0, 1.0, 1.0))
    expected = 1 - (1 - (radius_mm / 14) ** 2) ** 1.5
    assert measure_fill(volume, np.zeros(3)) == pytest.approx(expected, abs=0.03)


def test_the_share_that_a_small_head_fills():
    volume = draw(lambda points: norm(points) <= 11, (1.0, 1.0, 1.0))
    assert measure_fill(volume, np.zeros(3)) == pytest.approx((11 / 14) ** 3, abs=0.03)


@pytest.mark.parametrize("half_angle_deg", [30, 60, 80, 90, 120])
def test_the_share_of_directions_that_a_cup_covers(half_angle_deg):
    volume = draw(lambda points: cap(points, 24, 28, half_angle_deg, CUP / norm(CUP)), (1.0, 1.0, 1.0))
    expected = (1 - np.cos(np.radians(half_angle_deg))) / 2
    assert measure_cover(volume, np.zeros(3)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("radius_mm", "hu", "kind"),
    [(3.0, 3071, ""), (4.5, 3071, "fixation"), (20.0, 2600, "replacement")],
)
def test_a_clip_is_no_implant(radius_mm, hu, kind):
    """A ball of 3 mm has 113 mm3, one of 4.5 mm 382."""
    volume = draw(lambda points: norm(points) <= radius_mm, (1.0, 1.0, 1.0), hu)
    assert find_implant(volume, np.zeros(3)) == kind


@pytest.mark.parametrize("end_hu", [2000, 2400, 3071, 9000])
@pytest.mark.parametrize("kind", ["resurfacing", "plastic head in a metal cup", "nail and screw"])
def test_metal_is_known_where_the_hu_end(kind, end_hu):
    volume = draw((REPLACEMENTS | FIXATION)[kind], (1.0, 1.0, 1.0), end_hu)
    assert find_implant(volume, np.zeros(3)) == ("replacement" if kind in REPLACEMENTS else "fixation")


@pytest.mark.parametrize(("apart_mm", "kind"), [(20, ""), (4, "fixation")])
def test_many_clips_are_no_implant_but_one_piece_of_as_much_metal_is(apart_mm, kind):
    clips = [np.array([40.0, (number - 2.5) * apart_mm, 0.0]) for number in range(6)]
    volume = draw(
        lambda points: np.any([norm(points - clip) <= 2.5 for clip in clips], axis=0), (1.0, 1.0, 1.0)
    )
    assert find_implant(volume, np.zeros(3)) == kind


def test_bone_is_no_metal_though_its_densest_voxel_is_where_the_hu_end():
    volume = draw(lambda points: norm(points) <= 20, (1.0, 1.0, 1.0), 2000)
    volume.hu[volume.hu == 2000] += np.random.default_rng([1]).integers(
        0, 400, np.sum(volume.hu == 2000), np.int16
    )
    assert find_implant(volume, np.zeros(3)) == ""


def test_beyond_the_end_of_the_ct_there_is_no_metal():
    whole = draw(lambda points: norm(points) <= 16, (1.0, 1.0, 1.0))
    below = Volume(whole.hu[:, :, :62], whole.ras_from_ijk)
    assert find_implant(below, np.array([0.0, 0.0, 2.0])) == "replacement"
    assert find_implant(below, np.array([0.0, 0.0, 300.0])) == ""
