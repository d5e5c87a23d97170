import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.errors import CtError
from hipoa.imaging.localization.segmentation import locate_by_labels
from hipoa.imaging.spheres import fit_sphere, fit_sphere_robustly

IDS = (75, 76, 77, 78)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
CENTRES = {"right": np.array([150.0, 60, 70]), "left": np.array([40.0, 62, 66])}


def draw(swap=False):
    """A ball on a stick for each femur, and a cap above it for the hip bone."""
    shape = (96, 60, 60)
    points = 2.0 * np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    masks = {}
    for side, centre in CENTRES.items():
        away = np.linalg.norm(points - centre, axis=-1)
        below = points[..., 2] < centre[2]
        shaft = (np.linalg.norm((points - centre)[..., :2], axis=-1) < 12) & below
        word = {"right": "left", "left": "right"}[side] if swap else side
        masks[f"femur_{word}"] = (away < 23) | shaft
        masks[f"hip_{word}"] = (away > 27) & (away < 34) & ~below
    return masks


def write_folder(folder, masks, write_nifti):
    for name, mask in masks.items():
        write_nifti(folder / f"{name}.nii.gz", mask.astype(np.uint8), AFFINE)
    return folder


def write_map(path, masks, write_nifti, ids=IDS):
    labels = np.zeros((96, 60, 60), np.uint16)
    for name, number in zip(("femur_left", "femur_right", "hip_left", "hip_right"), ids, strict=True):
        labels[masks[name]] = number
    return write_nifti(path, labels, AFFINE)


@pytest.mark.parametrize("kind", ["folder", "map"])
def test_the_heads_of_a_segmentation(tmp_path, write_nifti, kind):
    masks = draw()
    path = (
        write_folder(tmp_path / "masks", masks, write_nifti)
        if kind == "folder"
        else write_map(tmp_path / "map.nii.gz", masks, write_nifti)
    )
    hips = locate_by_labels(path, IDS).hips
    for side, word in (("L", "left"), ("R", "right")):
        assert np.linalg.norm(np.array(hips[side].centre_ras_mm) - CENTRES[word]) < 1
        assert hips[side].radius_mm == pytest.approx(23, abs=1)
        assert hips[side].method == "labels"


def test_other_values_of_a_label_map(tmp_path, write_nifti):
    path = write_map(tmp_path / "map.nii.gz", draw(), write_nifti, (1, 2, 3, 4))
    assert set(locate_by_labels(path, (1, 2, 3, 4)).hips) == {"L", "R"}
    with pytest.raises(
        CtError, match=r"it shows no femur: .*75 and 76, it holds 1, 2, 3, 4\. Set label_ids to its"
    ):
        locate_by_labels(path, IDS)


def test_the_other_version_s_values_are_named(tmp_path, write_nifti):
    old = (88, 89, 90, 91)
    path = write_map(tmp_path / "map.nii.gz", draw(), write_nifti, old)
    with pytest.raises(CtError, match=r"set label_ids to \[88, 89, 90, 91\]"):
        locate_by_labels(path, IDS)
    assert set(locate_by_labels(path, old).hips) == {"L", "R"}


def test_values_of_something_else_are_to_be_checked(tmp_path, write_nifti):
    masks = draw() | {"femur_left": np.zeros((96, 60, 60), bool)}
    masks["femur_left"][40, 10, 10] = True
    found = locate_by_labels(write_map(tmp_path / "map.nii.gz", masks, write_nifti), IDS)
    assert set(found.hips) == {"R"}
    assert "femur_left of the labels has no spherical head" in found.missing["L"]
    assert "Check label_ids" in found.advise("L")


def test_a_folder_without_a_femur(tmp_path):
    with pytest.raises(CtError, match=r"shows no femur: .* Name the masks femur_left\.nii\.gz"):
        locate_by_labels(tmp_path, IDS)


def test_an_empty_label_map(tmp_path, write_nifti):
    path = write_nifti(tmp_path / "map.nii.gz", np.zeros((9, 9, 9), np.uint16), AFFINE)
    with pytest.raises(CtError, match="it holds none but 0"):
        locate_by_labels(path, IDS)


def test_exchanged_sides_are_refused(tmp_path, write_nifti):
    with pytest.raises(CtError, match="to the right of the left one"):
        locate_by_labels(write_folder(tmp_path / "masks", draw(swap=True), write_nifti), IDS)


def test_one_femur_alone(tmp_path, write_nifti):
    masks = {name: mask for name, mask in draw().items() if name.endswith("right")}
    found = locate_by_labels(write_folder(tmp_path / "masks", masks, write_nifti), IDS)
    assert set(found.hips) == {"R"}
    assert "the labels show no femur_left" in found.missing["L"]


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[st.floats(-500, 500)] * 3), st.floats(16, 33), st.integers(0, 1000))
def test_a_sphere_is_found_among_points_on_none(centre, radius, seed):
    rng = np.random.default_rng([seed])
    ways = rng.normal(size=(200, 3))
    points = np.array(centre) + radius * ways / np.linalg.norm(ways, axis=1, keepdims=True)
    assert fit_sphere(points)[0] == pytest.approx(centre, abs=1e-6)
    strays = np.array(centre) + rng.uniform(-60, 60, (80, 3))
    found = fit_sphere_robustly(np.concatenate([points, strays]), radius_mm=(15, 34), tolerance_mm=1)
    assert found.centre_mm == pytest.approx(centre, abs=0.3)
    assert found.radius_mm == pytest.approx(radius, abs=0.3)


def test_no_sphere_in_a_plane():
    plane = np.c_[np.random.default_rng([1]).uniform(0, 100, (300, 2)), np.zeros(300)]
    assert fit_sphere_robustly(plane, radius_mm=(15, 34), tolerance_mm=0.01) is None


def test_the_masks_of_the_real_ct(real_ct):
    hips = locate_by_labels(real_ct / "masks", IDS).hips
    import nibabel as nib

    affine = nib.load(real_ct / "pelvis_ct_3mm.nii.gz").affine
    for side, index in (("R", (87.9, 45.0, 7.9)), ("L", (30.7, 44.7, 9.4))):
        truth = nib.affines.apply_affine(affine, index)
        assert np.linalg.norm(truth - hips[side].centre_ras_mm) < 5
