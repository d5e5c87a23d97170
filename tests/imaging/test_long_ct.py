"""Of CTs much longer than the hips only the slices about these are read, and nothing else changes."""

from functools import partial
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from hipoa.imaging import view
from hipoa.imaging.ct.dicom import series
from hipoa.imaging.ct.image import Image, to_ras
from hipoa.imaging.ct.lazy_image import defer, hold
from hipoa.imaging.localization import long_ct
from hipoa.imaging.localization.scan import examine
from hipoa.imaging.projection.request import aim
from hipoa.imaging.settings import ProjectSettings
from hipoa.phantom.anatomy.solids import Grid
from hipoa.phantom.cohort.measure import measure_hip
from hipoa.phantom.cohort.members import plan_cases
from hipoa.phantom.phantom import build_case
from hipoa.phantom.scanner.scanner import add_noise
from hipoa.phantom.scanner.voxels import render
from hipoa.phantom.settings import PhantomSettings

# Slices of 2.5 mm: 400 mm about the hips, and 150 mm more above and below.
STEP_MM, MORE = 2.5, 60
MATRIX = np.diag([3.0, 3.0, STEP_MM, 1.0])
MATRIX[:3, 3] = [-192, -150, -180]


@pytest.fixture(scope="module")
def body():
    """HU (i, j, k) of a built patient and its matrix, and where the heads are."""
    settings = PhantomSettings.model_validate({})
    hips = build_case(settings, plan_cases({"labelled": 1, "external": 0, "pool": 0})["labelled"][0])
    rng = np.random.default_rng([7])
    hu = render(Grid((128, 100, 160), MATRIX), hips, {}, rng)
    long = np.concatenate([hu[..., :1].repeat(MORE, 2), hu, hu[..., -1:].repeat(MORE, 2)], 2)
    matrix = MATRIX.copy()
    matrix[2, 3] -= MORE * STEP_MM
    heads = {side: measure_hip(hip).centre for side, hip in hips.items()}
    return (
        add_noise(long, 12.0, rng),
        matrix,
        {s: np.array([c[0] * (1 if s == "R" else -1), *c[1:]]) for s, c in heads.items()},
    )


@pytest.fixture(scope="module")
def file(body, tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "ct.nii"
    nib.save(nib.Nifti1Image(body[0], body[1]), path)
    return path


@pytest.fixture(scope="module")
def marks(body, tmp_path_factory):
    path = tmp_path_factory.mktemp("marks") / "heads.csv"
    rows = [",".join([side, *(f"{x:.3f}" for x in centre)]) for side, centre in body[2].items()]
    path.write_text("\n".join(["side,centre_r_mm,centre_a_mm,centre_s_mm", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(body, tmp_path_factory, write_stack):
    hu, matrix, _ = body
    path = tmp_path_factory.mktemp("long") / "ct"
    places = [np.diag([-1, -1, 1]) @ to_ras(matrix, np.array([0, 0, k])) for k in range(hu.shape[2])]
    write_stack(path, hu, places=places, turn=(-1, 0, 0, 0, -1, 0), spacing=(3, 3), number=3)
    return path


def settings(**changed):
    return ProjectSettings.model_validate(changed)


def expose(scan, chosen, side="R"):
    return aim(scan, side, chosen)[1].expose(chosen).line_integral


@pytest.fixture
def whole(monkeypatch):
    """Examines as a whole, however long it is."""

    def look(*given):
        with monkeypatch.context() as patched:
            patched.setattr(long_ct, "_LONG_MM", np.inf)
            return examine(*given)

    return look


@pytest.fixture
def read(monkeypatch):
    """How many slices of a folder have been read, each time."""
    counts = []
    pixels = series.read_pixels
    monkeypatch.setattr(
        series, "read_pixels", lambda images, where: counts.append(len(images)) or pixels(images, where)
    )
    return counts


def test_heads_are_where_the_whole_ct_shows_them(file, body, whole):
    scan, all_of_it = examine(file, None, None, settings()), whole(file, None, None, settings())
    assert scan.volume.hu.shape[2] < 140 < all_of_it.volume.hu.shape[2] == 280
    for side, centre in body[2].items():
        hip, other = (one.centres.hips[side] for one in (scan, all_of_it))
        assert np.linalg.norm(np.subtract(hip.centre_ras_mm, other.centre_ras_mm)) < 0.5
        assert np.linalg.norm(np.subtract(hip.centre_ras_mm, centre)) < 3
    assert scan.volume.origin == all_of_it.volume.origin
    assert scan.volume.warnings == all_of_it.volume.warnings == ()


def test_a_folder_and_a_file_give_the_same_radiographs(file, folder, read):
    of_file, of_folder = (examine(path, None, None, settings()) for path in (file, folder))
    assert of_file.centres == of_folder.centres
    for side in "LR":
        np.testing.assert_array_equal(*(expose(scan, settings(), side) for scan in (of_file, of_folder)))
    # Every other one, to see where the hips are, and those about them once.
    assert read == [140, of_folder.volume.hu.shape[2]]
    assert of_folder.volume.origin.slices == 280


def test_slices_away_from_marked_hips_are_not_read(folder, marks, read):
    scan = examine(folder, None, marks, settings())
    assert read == [scan.volume.hu.shape[2]]
    assert read[0] * STEP_MM < 400


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"field_of_view_mm": 500},
        {"beam": "orthographic"},
        {"beam_centre": "pelvis", "source_to_hip_mm": 500},
        {"centre": "native_socket", "field_of_view_mm": 60},
    ],
)
def test_all_that_rays_meet_is_there(file, marks, whole, changed):
    chosen = settings(**changed)
    part, all_of_it = (look(file, None, marks, chosen) for look in (examine, whole))
    np.testing.assert_allclose(expose(part, chosen), expose(all_of_it, chosen), atol=1e-3)
    rows = [aim(scan, "R", chosen)[0] for scan in (part, all_of_it)]
    assert rows[0] == rows[1]


def test_all_that_a_view_shows_is_there(file, marks, whole, monkeypatch):
    monkeypatch.setattr(view, "PELVIS_FIELD_MM", 500)
    monkeypatch.setattr(view, "PELVIS_MM_PER_PX", 2)
    wide = settings(field_of_view_mm=500)
    wide = wide.model_copy(update={"field_of_view_mm": 540})
    images = [
        view.aim_wide(look(file, None, marks, wide), "", wide)[1].expose(wide).line_integral
        for look in (examine, whole)
    ]
    np.testing.assert_allclose(*images, atol=1e-3)


def test_what_is_not_long_is_read_as_a_whole(file, body, tmp_path):
    hu, matrix, _ = body
    for count, is_cut in ((200, False), (201, True)):
        path = tmp_path / f"{count}.nii"
        nib.save(nib.Nifti1Image(hu[..., MORE - 20 : MORE - 20 + count], matrix @ _up(MORE - 20)), path)
        scan = examine(path, None, None, settings())
        assert (scan.volume.hu.shape[2] < count) == is_cut
        assert set(scan.centres.hips) == set("LR")


def _up(slices):
    moved = np.eye(4)
    moved[2, 3] = slices
    return moved


@pytest.mark.parametrize("find", [lambda *_: [], lambda *_: [np.array([0.0, 0.0, 250.0])]])
def test_where_the_first_look_fails_the_whole_is_looked_at(file, whole, monkeypatch, find):
    expected = whole(file, None, None, settings())
    monkeypatch.setattr(long_ct, "find_places", find)
    scan = examine(file, None, None, settings())
    assert scan.centres == expected.centres
    assert scan.volume.hu.shape == expected.volume.hu.shape


def test_a_long_ct_with_one_hip(body, tmp_path):
    hu, matrix, _ = body
    matrix = matrix.copy()
    matrix[0, 3] += 64 * 3
    path = tmp_path / "right.nii"
    nib.save(nib.Nifti1Image(hu[64:], matrix), path)
    scan = examine(path, None, None, settings())
    assert list(scan.centres.hips) == ["R"]
    assert "one hip only" in scan.centres.missing["L"]


def test_a_mark_beyond_the_ends_of_a_long_ct(file, body, tmp_path):
    path = tmp_path / "heads.csv"
    rows = [f"{side},{r},{a},{s + 2000}" for side, (r, a, s) in body[2].items()]
    path.write_text("\n".join(["side,centre_r_mm,centre_a_mm,centre_s_mm", *rows]) + "\n")
    scan = examine(file, None, path, settings())
    with pytest.raises(series.CtError, match="the hip centre of the landmarks lies outside the CT"):
        aim(scan, "R", settings())


def _take(values, matrix, slices):
    return Image(values[..., slices], matrix)


@pytest.mark.parametrize("part", [slice(None), slice(1, 4), slice(None, None, 2), slice(1, None, 3)])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_part_is_that_of_the_whole_however_slices_are_stored(order, part):
    values = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(np.int16)
    for signs in product([1, -1], repeat=3):
        matrix = np.eye(4)
        matrix[:3, :3] = np.eye(3)[list(order)].T * signs * [1, 2, 3]
        matrix[:3, 3] = [10, 20, 30]
        stored = Image(values, matrix)
        whole = hold(stored).read()
        for lazy in (hold(stored), defer(values.shape, matrix, partial(_take, values, matrix))):
            assert lazy.shape == whole.values.shape
            found = lazy.read(part)
            np.testing.assert_array_equal(found.values, whole.values[..., part])
            first = range(whole.values.shape[2])[part][0]
            np.testing.assert_array_equal(
                to_ras(found.ras_from_ijk, np.zeros(3)), to_ras(whole.ras_from_ijk, np.array([0, 0, first]))
            )
            steps = [1, 1, part.step or 1]
            np.testing.assert_array_equal(found.ras_from_ijk[:3, :3], whole.ras_from_ijk[:3, :3] * steps)
