"""How often marks on a head are confirmed by the CT, and marks elsewhere refused, on synthetic CTs.

    python benchmarks/marks.py --n 96 --json marks.json

The CTs are those of ``locator.py``. Each hip that the CT holds is marked at its true centre, with the wrong
side's name, beside it and on other bones; last, two kinds of heads that the locator was never taught: a
child's, which is an adult's made small, and one that is gone.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import locator
import numpy as np

from hipoa.core.tables.rows import SIDES
from hipoa.imaging.ct.body import find_body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.checks import confirm_marks
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.settings import ProjectSettings
from hipoa.phantom.anatomy.hip import Hip as BuiltHip

_OFF_MM = (3, 5, 8, 10, 12, 20, 30)
_CHILD, _GONE_HU = 0.6, 60
_OTHER = {"L": "R", "R": "L"}


def judge(volume: Volume, side: str, place: np.ndarray) -> dict[str, object]:
    """What becomes of one mark: its reason where it is refused, else its distance and its warnings."""
    r, a, s = (float(x) for x in place)
    hip = Hip(side, (r, a, s), 23.0, "landmarks", 1.0)
    marked = HipCentres({side: hip}, {_OTHER[side]: "not marked"})
    found = confirm_marks(volume, find_body(volume), marked, ProjectSettings.model_validate({}))
    if side in found.missing:
        return {"outcome": "refused", "reason": found.missing[side]}
    hip = found.hips[side]
    return {"outcome": "warned" if hip.warnings else "taken", "off_mm": hip.mark_to_head_mm}


def find_other_bones(hip: BuiltHip) -> Iterator[tuple[str, np.ndarray]]:
    """Places (3,) in the hip's frame that are marked beside heads, or instead of them."""
    axes = np.arange(0, 170, 4.0), np.arange(-110, 80, 4.0), np.arange(-140, 170, 4.0)
    x, y, z = points = np.stack(np.meshgrid(*axes, indexing="ij"))
    pelvis, femur = hip.pelvis_distance(points) < -1, hip.femur_distance(points) < -1
    outermost = {
        "ASIS": (pelvis & (z > 60) & (x > 60), y),
        "greater trochanter": (femur & (z < hip.head[2] + 10), x),
        "ischium": (pelvis, -z),
        "pubis": (pelvis & (x < 20) & (z < 30), y),
    }
    for name, (bone, way) in outermost.items():
        at = np.unravel_index(np.where(bone, way, -np.inf).argmax(), bone.shape)
        yield name, points[(slice(None), *at)]
    yield "L5", np.array([0, -20, 105]) * hip.person.scale
    yield "sacrum", np.array([12, -55, 60]) * hip.person.scale


def place_marks(
    scene: locator.Scene, side: str, seed: int, number: int
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Marks of one hip: what is marked, the side in its name, where (3,) in RAS mm."""
    rng = np.random.default_rng([seed, number, SIDES.index(side)])
    centre = scene.centres[side]
    yield "head", side, centre
    yield "head, other side", _OTHER[side], centre
    for off_mm in _OFF_MM:
        way = rng.normal(size=3)
        yield f"{off_mm} mm off", side, centre + off_mm * way / np.linalg.norm(way)
    if scene.kind == "flexed":
        return
    # The same draws as the scene's.
    plan = locator._draw(np.random.default_rng([seed, number]), scene.kind, number)
    for name, place in find_other_bones(plan.hips[side]):
        mirrored = place * [1 if side == "R" else -1, 1, 1]
        yield name, side, (plan.pose @ [*mirrored, 1])[:3]


def shrink(volume: Volume) -> Volume:
    """The same body in the size of a small child's."""
    return Volume(volume.hu, np.diag([_CHILD, _CHILD, _CHILD, 1.0]) @ volume.ras_from_ijk)


def destroy(volume: Volume, centre: np.ndarray, radius_mm: float = 22.0) -> Volume:
    """The CT with soft tissue where a head was."""
    index = np.stack(np.meshgrid(*map(np.arange, volume.hu.shape), indexing="ij"), -1)
    away = index @ volume.ras_from_ijk[:3, :3].T + volume.ras_from_ijk[:3, 3] - centre
    gone = np.linalg.norm(away, axis=-1) < radius_mm
    return Volume(np.where(gone, np.int16(_GONE_HU), volume.hu), volume.ras_from_ijk)


def examine(number: int, seed: int, voxels: float) -> Iterator[dict[str, object]]:
    """One row per mark of the CT of this number."""
    scene = locator.make_scene(number, seed, voxels)
    for side in SIDES:
        if scene.expected[side] != "found":
            continue
        about = {"number": number, "kind": scene.kind, "grade": scene.grades[side], "side": side}
        for mark, named, place in place_marks(scene, side, seed, number):
            if scene.volume.contains(place):
                yield {**about, "mark": mark, **judge(scene.volume, named, place)}
        centre = scene.centres[side]
        yield {**about, "mark": "a child's head", **judge(shrink(scene.volume), side, _CHILD * centre)}
        yield {**about, "mark": "a head that is gone", **judge(destroy(scene.volume, centre), side, centre)}


def main() -> None:
    """Marks the hips, and prints what became of the marks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=96, help="number of volumes")
    parser.add_argument("--seed", type=int, default=202, help="of everything drawn")
    parser.add_argument("--voxels", type=float, default=2e6, help="most voxels of a volume")
    parser.add_argument("--json", type=Path, help="where to write all rows")
    options = parser.parse_args()
    rows = [row for n in range(options.n) for row in examine(n, options.seed, options.voxels)]
    print("mark | marks | taken | warned | refused | median, 95 %, largest distance to the head (mm)")
    for mark in dict.fromkeys(str(row["mark"]) for row in rows):
        own = [row for row in rows if row["mark"] == mark]
        count = Counter(str(row["outcome"]) for row in own)
        off = [float(str(row["off_mm"])) for row in own if "off_mm" in row]
        spread = ", ".join(f"{x:.1f}" for x in np.percentile(off, [50, 95, 100])) if off else ""
        cells = [mark, len(own), count["taken"], count["warned"], count["refused"], spread]
        print(" | ".join(map(str, cells)), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
