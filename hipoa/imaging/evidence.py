"""What speaks for a sphere of bone being a femoral head: its surface, and the bones that must lie about it.

The neck goes on from it to the side and down, the shaft lies below, the socket and its roof towards the
middle, and between them there is soft tissue.
"""

from __future__ import annotations

import numpy as np

from hipoa.imaging.casts import FAR_MM, RAYS, Casts, cast, settle, share
from hipoa.imaging.scout import Scout
from hipoa.imaging.votes import find_slope, find_spheres

_CANDIDATES = 10
_SIGNS = {"L": -1, "R": 1}
_PELVIS_HU, _CORTEX_HU = 140.0, 250.0
# Directions in a hip's frame: lateral, front, head end.
_TO_SOCKET = np.array([-0.857, 0, 0.514])
_TO_NECK = np.array([0.75, -0.1, -0.65]) / np.linalg.norm([0.75, -0.1, -0.65])
_TO_ROOF = np.array([-0.3, 0, 0.954])
# Boxes beside a head's middle in the same frame, mm: the medial wall of the pelvis, and the shaft.
_WALL_MM = ((-60, -30, 5), (-28, 28, 8), (-20, 40, 8))
_SHAFT_MM = ((0, 70, 8), (-35, 35, 8), (-85, -60, 5))


def find_candidates(scout: Scout) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Spheres that may be heads: middles (n, 3) in RAS mm, radii (n,) in mm, by side the log odds (n,)."""
    slope = find_slope(scout)
    voted, radii, votes = find_spheres(scout, slope, _CANDIDATES)
    settled, settled_radii, merits = settle(scout, slope, voted, radii)
    met = cast(scout, slope, settled, settled_radii, FAR_MM)
    odds = {side: _weigh(scout, met, settled, sign, votes, merits) for side, sign in _SIGNS.items()}
    # The place voted for is nearer to the head's middle than the sphere that settled.
    return voted, radii, odds


def _weigh(
    scout: Scout, met: Casts, centres: np.ndarray, sign: int, votes: np.ndarray, merits: np.ndarray
) -> np.ndarray:
    """Log odds (n,) that the spheres are the head of the side whose lateral is this sign along R.

    The weights are those of a logistic regression on the 770 candidates of 36 synthetic volumes and three
    real CTs (a pelvis, an abdomen, a chest), rounded.
    """
    rays = RAYS * [sign, 1, 1]
    inwards, neck, other = rays @ _TO_SOCKET, rays @ _TO_NECK, rays @ (_TO_NECK * [-1, 1, 1])
    beyond = met.beyond_mm
    ring = (beyond > 3) & (beyond < 22) & met.known
    free = (beyond > 3) & (beyond < 14) & met.known & ((neck < 0.5) & (inwards < 0.4))[:, None]
    to_neck = share(met.bone, ring & (neck > 0.87)[:, None])
    to_other = share(met.bone, ring & (other > 0.87)[:, None])
    shaft, shaft_known = _fill(scout, centres, sign, _SHAFT_MM, _CORTEX_HU)
    wall, _ = _fill(scout, centres, sign, _WALL_MM, _PELVIS_HU)
    socket = share(met.on & met.bone_behind, met.reached & (inwards > 0.4))
    return (
        -7.9
        + 1.5 * np.clip(np.log(np.maximum(votes, 1e-3)), -0.7, 0.7)
        + 1.8 * np.minimum(merits, 0.8)
        + 1.0 * share(met.on, met.reached)
        + 0.45 * np.clip(share(met.bone, met.within), 0.4, 1)
        + 1.2 * np.clip(share(np.clip(met.hu, 0, 400) / 400, met.within), 0.2, 0.8)
        - 1.6 * np.minimum(share(met.hu < -20, met.within), 0.2)
        + 2.6 * to_neck
        + 2.0 * np.clip(to_neck - to_other, -0.5, 0.5)
        - 2.3 * share(met.bone, free)
        + 1.2 * share(met.bone_behind, met.reached & (rays @ _TO_ROOF > 0.7))
        + 3.1 * np.minimum(socket, 0.5)
        + 3.2 * np.minimum(wall, 0.3)
        + 12 * shaft_known * (np.minimum(shaft, 0.12) - 0.06)
    )


def _fill(
    scout: Scout,
    centres: np.ndarray,
    sign: int,
    box_mm: tuple[tuple[int, int, int], ...],
    least_hu: float,
) -> tuple[np.ndarray, np.ndarray]:
    """How much of a box beside each middle is bone, and how much of it the CT holds; 0-1 (n,)."""
    places = np.meshgrid(*(np.linspace(*ends) for ends in box_mm))
    box = np.stack(places, -1).reshape(-1, 3) * [sign, 1, 1]
    hu, known = scout.sample(centres[:, None] + box @ scout.axes)
    return share(hu > least_hu, known), known.mean(1)
