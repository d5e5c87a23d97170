"""Bodies with hips: real pelves with femora, those of the shape model, built-in patients with disease."""

from __future__ import annotations

import numpy as np
from canvas import CODE, Anatomy, Canvas, fill, make_grid
from scipy import ndimage
from scipy.spatial.transform import Rotation
from surfaces import Surface, model_femur, model_pelvis, pelvis, read_bones, real_femur
from tissue import draw_extras, draw_flesh, draw_lumbar

from hipoa.phantom.anatomy.build import build_hip
from hipoa.phantom.anatomy.disease import draw_disease
from hipoa.phantom.anatomy.hip import draw_person
from hipoa.phantom.anatomy.solids import Grid, RoundCone, Solid
from hipoa.phantom.cohort.measure import fit_head

# Real pelves and femora whose volumes choose nothing and train nothing: confidence is calibrated on them.
KEPT_PELVES, KEPT_FEMORA = (3, 9, 17, 24), ("m4_rfemur",)


def draw_real(rng: np.random.Generator, kept: bool = False) -> Anatomy:
    """A real pelvis with real femora, or such of the shape model, posed and in drawn soft tissue."""
    stored = read_bones("femora.npz")
    names = sorted({key.rsplit("_", 1)[0] for key in stored})
    femora = [name for name in names if (name in KEPT_FEMORA) == kept]
    pelves = [n for n in range(len(read_bones("pelves.npz")["sacrum_points"])) if (n in KEPT_PELVES) == kept]
    parts, sockets = pelvis(int(rng.choice(pelves)))
    surface = real_femur(str(rng.choice(femora))) if rng.random() < 0.5 else model_femur(rng)
    return _assemble(parts, sockets, surface, rng, "bones")


def draw_model(rng: np.random.Generator) -> Anatomy:
    """A pelvis and femora of the shape model, likewise."""
    return _assemble(*model_pelvis(rng), model_femur(rng), rng, "model")


def _assemble(
    parts: dict[str, Surface],
    sockets: dict[str, np.ndarray],
    femur: Surface,
    rng: np.random.Generator,
    kind: str,
) -> Anatomy:
    heads = {}
    gap = rng.uniform(1.5, 4.5)
    for side, sphere in sockets.items():
        radius = max(sphere[3] - gap, 17.0) * rng.uniform(0.96, 1.0)
        loose = rng.normal(0, 0.8, 3) + np.array([0, 0, 0.5])
        heads[side] = np.array([*(sphere[:3] + np.clip(loose, -2, 2)), radius])
    grid = make_grid(np.array([h[:3] for h in heads.values()]))
    canvas = Canvas(grid)
    poses = {side: draw_pose(rng) for side in heads}
    draw_flesh(canvas, heads, poses, rng)
    for part in ("sacrum", "left_hip", "right_hip"):
        canvas.voxels(*fill(parts[part], grid), "hip")
    draw_lumbar(canvas, parts["sacrum"].points, rng)
    for side, head in heads.items():
        _place_femur(canvas, side, head, femur, poses[side], rng, sockets[side][3])
    draw_extras(canvas, heads, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], heads, kind)


def draw_pose(rng: np.random.Generator) -> np.ndarray:
    """How a right femur is turned about its head (3, 3): flexed, abducted, rotated."""
    flexion = rng.uniform(0, 70) if rng.random() < 0.4 else rng.normal(8, 10)
    abduction = rng.uniform(-12, 30) if rng.random() < 0.5 else rng.normal(0, 5)
    rotation = rng.normal(0, 18)
    # Flexion lifts the knee to the front; abduction takes it to the side; turned out is positive.
    return Rotation.from_euler("zyx", [-rotation, -abduction, flexion], degrees=True).as_matrix()


def _place_femur(
    canvas: Canvas,
    side: str,
    head: np.ndarray,
    femur: Surface,
    pose: np.ndarray,
    rng: np.random.Generator,
    socket_mm: float,
) -> None:
    grid, mirror = canvas.grid, np.array([1 if side == "R" else -1, 1, 1])
    # Neck and shaft vary in length and width, the head does not.
    away = np.linalg.norm(femur.points, axis=1, keepdims=True)
    far = np.clip((away - 1.15) / 0.6, 0, 1)
    points = femur.points * (1 + far * (rng.uniform(0.88, 1.15, 3) - 1)) * head[3]
    points = (points @ pose.T) * mirror + head[:3]
    faces = femur.faces if side == "R" else femur.faces[:, ::-1]
    inside, shell = fill(Surface(points, faces), grid)
    for piece in _shaft(femur, head, pose, mirror):
        window, distance = grid.rasterise([piece])
        inside[window] |= distance < 0
        shell[window] |= (distance < 0) & (distance > -2.5)
    shell &= ~ndimage.binary_erosion(inside, iterations=2)
    spot = grid.points() - head[:3, None, None, None]
    ball = np.sqrt((spot**2).sum(0))
    # The joint is clear: cartilage between the head and whatever of the hip bone overlaps it.
    bone = np.isin(canvas.labels, [CODE["hip_shell"], CODE["hip_inside"]])
    canvas.labels[bone & (ball < min(head[3] + rng.uniform(1.2, 3.5), socket_mm + 1))] = CODE["joint"]
    canvas.labels[~bone & (ball < head[3] + 2)] = CODE["joint"]
    near = ndimage.binary_dilation(inside, iterations=1) & bone
    canvas.labels[near] = CODE["joint"]
    on_head = inside & (ball < 1.12 * head[3])
    canvas.voxels(inside & ~on_head, shell & ~on_head, "femur")
    canvas.voxels(on_head, shell & on_head, "head")
    # Shafts have a wide cortex and marrow.
    low = (np.tensordot(np.linalg.inv(pose), spot * mirror[:, None, None, None], 1)[2]) < -2.6 * head[3]
    deep = ndimage.binary_erosion(inside & low, iterations=int(rng.integers(2, 4)))
    canvas.labels[inside & low & ~shell] = CODE["femur_shell"]
    canvas.labels[deep] = CODE["marrow"]


def _shaft(femur: Surface, head: np.ndarray, pose: np.ndarray, mirror: np.ndarray) -> list[Solid]:
    """A shaft on below a femur that was cut."""
    lowest = femur.points[:, 2].min()
    if lowest < -7:
        return []
    end = femur.points[femur.points[:, 2] < lowest + 0.25]
    above = femur.points[(femur.points[:, 2] > lowest + 0.5) & (femur.points[:, 2] < lowest + 0.75)]
    start = end.mean(0)
    way = start - above.mean(0) if lowest < -4.5 else np.array([-0.12, 0, -1.0])
    way = way / np.linalg.norm(way)
    if way[2] > -0.9:
        way = np.array([-0.1, 0, -1.0]) / np.hypot(1, 0.1)
    width = float(np.median(np.linalg.norm((end - start)[:, :2], axis=1)))
    ends = [((p * head[3]) @ pose.T) * mirror + head[:3] for p in (start + 0.15 * -way, start + 9 * way)]
    return [RoundCone(ends[0], ends[1], min(width, 0.9) * head[3], 0.62 * head[3])]


def draw_patient(rng: np.random.Generator) -> Anatomy:
    """A built-in patient with disease, migrated heads among them, in drawn soft tissue."""
    person = draw_person(rng)
    hips, heads, tops = {}, {}, {}
    for side in "LR":
        hips[side] = build_hip(person, draw_disease(rng, int(rng.integers(1, 8)), float(rng.random())), rng)
        centre, radius = fit_head(hips[side])
        sign = 1 if side == "R" else -1
        heads[side] = np.array([sign * centre[0], *centre[1:], radius])
        tops[side] = sign
    grid = make_grid(np.array([h[:3] for h in heads.values()]))
    canvas = Canvas(grid)
    poses = dict.fromkeys(heads, np.eye(3))
    draw_flesh(canvas, heads, poses, rng)
    sacrum = [person.bones.sacrum]
    canvas.bone(sacrum, "hip")
    for side, hip in hips.items():
        flipped = Grid(grid.shape, np.diag([tops[side], 1, 1, 1]) @ grid.frame_from_ijk)
        # Half of the volume is this hip's.
        here = flipped.window(np.array([0.0, -300, -400]), np.array([400.0, 300, 400]))
        part = flipped.crop(here)
        points = part.points()
        room = part.distance(hip.cavities)
        pelvic = hip.pelvis_distance(points, part.distance(hip.pelvis, 5.0))
        femoral = hip.femur_distance(points)
        labels = canvas.labels[here]
        labels[room < 1] = CODE["joint"]
        labels[pelvic < 0] = CODE["hip_shell"]
        labels[pelvic < -2] = CODE["hip_inside"]
        ball = np.sqrt(((points - np.array(fit_head(hip)[0])[:, None, None, None]) ** 2).sum(0))
        on_head = ball < 1.12 * heads[side][3]
        low = hip.head[2] - points[2] > 60
        labels[femoral < 0] = CODE["femur_shell"]
        labels[(femoral < -2) & ~low] = CODE["femur_inside"]
        labels[(femoral < -6) & low] = CODE["marrow"]
        labels[(femoral < 0) & on_head] = CODE["head_shell"]
        labels[(femoral < -1.5) & on_head] = CODE["head_inside"]
    draw_extras(canvas, heads, rng)
    return Anatomy(canvas.labels, grid.frame_from_ijk[:3, 3], heads, "patient")
