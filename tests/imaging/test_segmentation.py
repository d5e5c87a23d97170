import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.core.errors import CtError
from hipoa.imaging.localization.names import read_bone
from hipoa.imaging.localization.segmentation import NAMES, locate_by_labels
from hipoa.imaging.localization.sphere_fit import fit_sphere, fit_sphere_robustly

IDS = (75, 76, 77, 78)
SIDES = (("L", "left"), ("R", "right"))
EMPTY = np.zeros((96, 60, 60), bool)
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


OLD = (88, 89, 90, 91)


def test_a_map_of_version_1_is_recognised_by_its_heads(tmp_path, write_nifti):
    path = write_map(tmp_path / "map.nii.gz", draw(), write_nifti, OLD)
    told, found = locate_by_labels(path, OLD).hips, locate_by_labels(path, IDS).hips
    for side in ("L", "R"):
        assert found[side].centre_ras_mm == told[side].centre_ras_mm
        assert found[side].warnings == ("the label map was taken for one of TotalSegmentator's version 1",)
        assert not told[side].warnings


def test_a_map_of_moose_is_known_by_its_name_alone(tmp_path, write_nifti):
    masks = draw() | {"hip_left": EMPTY, "hip_right": EMPTY}
    path = write_map(tmp_path / "CT_Peripheral-Bones_1.nii.gz", masks, write_nifti, (5, 6, 7, 8))
    found = locate_by_labels(path, IDS).hips
    for side, word in SIDES:
        assert np.linalg.norm(np.array(found[side].centre_ras_mm) - CENTRES[word]) < 1
        assert "MOOSE" in found[side].warnings[0]
    # The same values are liver and stomach elsewhere.
    with pytest.raises(CtError, match="it shows no femur"):
        locate_by_labels(path.rename(tmp_path / "map.nii.gz"), IDS)


def write_both(path, write_nifti, ids, others):
    """The bones of :func:`draw` and, below them, slabs of other values."""
    masks = draw()
    labels = np.zeros((96, 60, 60), np.uint16)
    for name, number in zip(NAMES, ids, strict=True):
        labels[masks[name]] = number
    for n, number in enumerate(others):
        labels[5 + 22 * n : 25 + 22 * n, 2:12, 2:50] = number
    return write_nifti(path, labels, AFFINE)


@pytest.mark.parametrize(("ids", "others"), [(IDS, OLD), (OLD, IDS)])
def test_values_of_both_versions(tmp_path, write_nifti, ids, others):
    """Ribs of version 1 have the femora's values of version 2, where 88 to 91 are muscles and the skull."""
    found = locate_by_labels(write_both(tmp_path / "map.nii.gz", write_nifti, ids, others), IDS).hips
    assert all(np.linalg.norm(found[s].centre_ras_mm - CENTRES[w]) < 1 for s, w in SIDES)
    assert all(bool(hip.warnings) == (ids == OLD) for hip in found.values())


def test_a_map_that_is_of_both_versions_is_refused(tmp_path, write_nifti):
    masks = draw()
    labels = np.zeros((96, 60, 120), np.uint16)
    for new, old, name in zip(IDS, OLD, NAMES, strict=True):
        labels[..., :60][masks[name]] = new
        labels[..., 60:][masks[name]] = old
    path = write_nifti(tmp_path / "map.nii.gz", labels, AFFINE)
    with pytest.raises(CtError, match=r"both as TotalSegmentator's version 1 and .* as a folder"):
        locate_by_labels(path, IDS)


@pytest.mark.parametrize("masks", [draw(swap=True), draw() | {"hip_left": EMPTY, "hip_right": EMPTY}])
def test_values_of_version_1_without_its_heads_are_refused(tmp_path, write_nifti, masks):
    path = write_map(tmp_path / "map.nii.gz", masks, write_nifti, OLD)
    with pytest.raises(CtError, match=r"set label_ids to \[88, 89, 90, 91\]"):
        locate_by_labels(path, IDS)


def test_names_in_a_nifti_header_go_before_the_values(tmp_path, write_nifti):
    # The values of version 2, exchanged: names that the file brings along are surer.
    path = write_map(tmp_path / "map.nii.gz", draw(), write_nifti, (76, 75, 78, 77))
    with pytest.raises(CtError, match="left and right centres appear swapped"):
        locate_by_labels(path, IDS)
    image = nib.load(path)
    rows = "".join(
        f'<Label Key="{n}" Red="0.2"><![CDATA[{name}]]></Label>'
        for n, name in zip((76, 75, 78, 77, 5), (*NAMES, "liver"), strict=True)
    )
    for text in ("<no xml", f"<CaretExtension><LabelTable>{rows}</LabelTable></CaretExtension>"):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, text.encode()))
    nib.save(image, tmp_path / "named.nii.gz")
    found = locate_by_labels(tmp_path / "named.nii.gz", IDS).hips
    assert all(np.linalg.norm(found[s].centre_ras_mm - CENTRES[w]) < 1 for s, w in SIDES)


def write_segments(path, layers, segments):
    """As 3D Slicer writes it: layers (n, i, j, k); of each segment name, layer, value and terminology."""
    place = "space directions: none (-2,0,0) (0,-2,0) (0,0,2)\nspace origin: (0,0,0)"
    sizes, kinds, dimension = " ".join(map(str, layers.shape)), "list domain domain domain", 4
    if len(layers) == 1:
        place, kinds, dimension = place.replace("none ", ""), kinds.replace("list ", ""), 3
        sizes = sizes.removeprefix("1 ")
    lines = [
        f"NRRD0004\ntype: unsigned char\ndimension: {dimension}\nspace: left-posterior-superior",
        f"sizes: {sizes}\n{place}\nkinds: {kinds}\nencoding: raw",
    ]
    for n, (name, layer, value, term) in enumerate(segments):
        lines += [f"Segment{n}_Name:={name}\nSegment{n}_LabelValue:={value}\nSegment{n}_Layer:={layer}"]
        lines += [f"Segment{n}_Tags:=TerminologyEntry:list~SCT^1^Anatomical Structure~{term}~Codes~^^~^^|"]
    path.write_bytes("\n".join([*lines, "", ""]).encode() + layers.tobytes("F"))
    return path


TISSUE = "SCT^85756007^Tissue~^^"
NAMED = [
    ["Oberschenkel links", "右大腿骨", "Left hip bone", "Hüftbein R"],
    ["L femur", "Femur-R", "?", "Liver"],
]


@pytest.mark.parametrize("names", NAMED)
@pytest.mark.parametrize("n_layers", [1, 2])
def test_segments_of_slicer_by_name(tmp_path, names, n_layers):
    layers = np.zeros((n_layers, 96, 60, 60), np.uint8)
    for n, mask in enumerate(draw()[name] for name in NAMES):
        layers[n % n_layers][mask] = 1 + n
    segments = [(name, n % n_layers, 1 + n, TISSUE) for n, name in enumerate(names)]
    found = locate_by_labels(write_segments(tmp_path / "a.seg.nrrd", layers, segments), IDS).hips
    assert all(np.linalg.norm(found[s].centre_ras_mm - CENTRES[w]) < 1 for s, w in SIDES)


def write_one(tmp_path, *segments):
    layers = np.zeros((1, 96, 60, 60), np.uint8)
    layers[0][draw()["femur_left"]] = 1
    layers[0][draw()["femur_right"]] = 2
    return write_segments(tmp_path / "a.seg.nrrd", layers, [(n, 0, v, t) for n, v, t in segments])


LEFT_FEMUR = "SCT^71341001^Femur~SCT^7771000^Left"


@pytest.mark.parametrize("name", ["Segment_1", "femur", ""])
def test_the_terminology_of_a_segment_without_a_name_of_its_own(tmp_path, name):
    path = write_one(tmp_path, (name, 1, LEFT_FEMUR), ("cartilage", 2, LEFT_FEMUR))
    assert set(locate_by_labels(path, IDS).hips) == {"L"}


def test_a_name_goes_before_the_terminology(tmp_path):
    path = write_one(tmp_path, ("Left femur", 1, LEFT_FEMUR), ("Right femur", 2, LEFT_FEMUR))
    assert set(locate_by_labels(path, IDS).hips) == {"L", "R"}


def test_two_segments_of_one_name_are_refused(tmp_path):
    path = write_one(tmp_path, ("Left femur", 1, TISSUE), ("femur_L", 2, TISSUE))
    with pytest.raises(CtError, match=r"several segments are named as femur_left\. Keep one"):
        locate_by_labels(path, IDS)


def test_segments_that_are_no_femora_are_refused_and_not_named(tmp_path):
    path = write_one(tmp_path, ("Doe L femur", 1, TISSUE), ("Segment_2", 2, TISSUE))
    with pytest.raises(CtError, match=r"none of its segments is named as one.* name its segments") as error:
        locate_by_labels(path, IDS)
    assert "Doe" not in str(error.value)
    layers = np.zeros((2, 20, 20, 20), np.uint8)
    layers[:, 5:9, 5:9, 5:9] = 75
    path = write_segments(tmp_path / "b.seg.nrrd", layers, [("Doe", 0, 75, TISSUE)])
    with pytest.raises(CtError, match="2 layers, and none of its segments is named as a femur"):
        locate_by_labels(path, IDS)


FOLDERS = [
    ["Femur_Left.nii.gz", "FEMUR_RIGHT.NII", "hip-left.nrrd", "Right hip.mha"],
    ["L femur.seg.nrrd", "Oberschenkel rechts.nrrd", "左寛骨.nhdr", "hip_right.mhd"],
    ["Femur_Head_L.nii.gz", "Femur_Head_R.nii.gz", "Bone_Pelvic.nii.gz", "._hip_left.nii.gz"],
]


@pytest.mark.parametrize("files", FOLDERS)
def test_masks_of_any_format_and_spelling(tmp_path, write_nifti, files):
    masks = list(draw().items())
    masks = [mask for _, mask in sorted(masks, key=lambda item: NAMES.index(item[0]))]
    for file, mask in zip(files, masks, strict=True):
        if file.startswith("."):
            (tmp_path / file).write_bytes(b"resource fork")
        elif ".nii" in file.lower():
            write_nifti(tmp_path / file, mask.astype(np.uint8), AFFINE)
        else:
            image = sitk.GetImageFromArray(mask.astype(np.uint8).T)
            image.SetSpacing((2, 2, 2))
            image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
            sitk.WriteImage(image, tmp_path / file)
    found = locate_by_labels(tmp_path, IDS).hips
    assert all(np.linalg.norm(found[s].centre_ras_mm - CENTRES[w]) < 1 for s, w in SIDES)


def test_two_masks_of_one_name_are_refused(tmp_path, write_nifti):
    for name in ("femur_left.nii.gz", "Left Femur.nii"):
        write_nifti(tmp_path / name, draw()["femur_left"].astype(np.uint8), AFFINE)
    with pytest.raises(CtError, match="several masks are named as femur_left"):
        locate_by_labels(tmp_path, IDS)


@pytest.mark.parametrize(
    ("names", "bone"),
    [
        (
            "femur_left, left_femur, femur-l, LFemur, Femur li, 左大腿骨, Bone structure of femur Left",
            "femur_left",
        ),
        ("FemoralHead_R, Femur_Head_R, Hüftkopf rechts, 右大腿骨頭", "head_right"),
        ("hip_right, rechtes Hüftbein, innominate bone R, pelvis right, Os coxae R, 右寛骨", "hip_right"),
        ("pelvis, Bone_Pelvic, Becken, 骨盤", "pelvis"),
        ("femur, Femora, femoral artery left, femoral neck L, femur left right, femur_left_2, hip", ""),
        ("iliopsoas_left, gluteus_maximus_right, hip joint L, hip prosthesis L, head L, L5, left, L, ", ""),
    ],
)
def test_names_of_bones(names, bone):
    assert {name: read_bone(name) for name in names.split(", ")} == dict.fromkeys(names.split(", "), bone)


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
    with pytest.raises(CtError, match="left and right centres appear swapped"):
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
    affine = nib.load(real_ct / "pelvis_ct_3mm.nii.gz").affine
    for side, index in (("R", (87.9, 45.0, 7.9)), ("L", (30.7, 44.7, 9.4))):
        truth = nib.affines.apply_affine(affine, index)
        assert np.linalg.norm(truth - hips[side].centre_ras_mm) < 5
