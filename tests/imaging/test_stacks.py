"""One series, several stacks: phases, kernels, joints apart, slices lost or sent twice."""

import numpy as np
import pytest

from hipoa.core.errors import CtError
from hipoa.imaging.ct.formats import read_volume
from hipoa.imaging.localization.scan import locate_hips
from hipoa.imaging.projection.request import request_hip
from hipoa.imaging.settings import ProjectSettings

RNG = np.random.default_rng([11])
ACQUISITION, INSTANCE, TIME, KERNEL = "0020|0012", "0020|0013", "0008|0032", "0018|1210"
SECRETS = ("Doe", "12345", "2.25")


def draw(slices):
    """HU (columns, rows, slices) of air, fat, muscle and bone."""
    shape = (11, 13, slices)
    tissues = RNG.choice([-1000, -100, 50, 700], shape, p=[0.3, 0.2, 0.4, 0.1])
    return (tissues + RNG.integers(-20, 21, shape)).astype(np.int16)


@pytest.fixture
def write(tmp_path, write_slice):
    """Adds slices to one series; ``tags`` are functions of the index, ``at`` gives their places, mm."""
    count = 0

    def add(hu, at, **tags):
        nonlocal count
        for k in range(hu.shape[2]):
            name = tags.pop("name", None) or f"{count:04d}"
            said = {key: str(value(k) if callable(value) else value) for key, value in KEYS(tags).items()}
            write_slice(tmp_path / "ct" / name, hu[..., k], (-50, -40, at[k]), number=3, tags=said.items())
            count += 1
        return tmp_path / "ct"

    return add


def KEYS(tags):  # noqa: N802
    names = {
        "acquisition": ACQUISITION,
        "instance": INSTANCE,
        "time": TIME,
        "kernel": KERNEL,
        "kind": "0008|0008",
    }
    return {names[name]: value for name, value in tags.items()}


def even(slices, step=3.0, start=0.0):
    return [start + step * k for k in range(slices)]


def is_read(volume, hu):
    """Whether a volume is what was stored, its axes turned."""
    np.testing.assert_array_equal(volume.hu, hu[::-1, ::-1])
    return True


def refused(folder, message, series=""):
    with pytest.raises(CtError, match=message) as error:
        read_volume(folder, series)
    assert not any(secret in str(error.value) for secret in SECRETS)


def test_joints_scanned_apart_are_stacks_of_their_own(write):
    hips = draw(20)
    write(draw(10), even(10, start=-700))
    folder = write(draw(9), even(9, start=-350))
    write(hips, even(20))
    volume = read_volume(folder)
    assert is_read(volume, hips)
    assert (volume.origin.series, volume.origin.set_aside) == ("3", "series 3b, series 3c")
    assert volume.gaps == ()
    assert volume.warnings == ()
    assert read_volume(folder, "3c").origin.slices == 9
    refused(folder, r"no CT series 4 to use \(it has 3: 20 slices, step 3 mm; 3b: 10 .*; 3c: 9 ", "4")


def test_where_the_step_changes_another_stack_begins(write):
    hips, thigh, knee = draw(30), draw(9), draw(12)
    write(hips, even(30, 1))
    write(thigh, even(9, -30, -30))
    folder = write(knee, even(12, -1, -301))
    volume = read_volume(folder)
    assert is_read(volume, hips)
    assert volume.gaps == ()
    assert is_read(read_volume(folder, "3b"), knee[..., ::-1])
    refused(folder, "3c: 9 slices, step 30 mm", "4")


PHASES = {
    "acquisition": ({"acquisition": 1}, {"acquisition": 2}),
    "kernel": ({"kernel": "Br40d"}, {"kernel": "Br60d"}),
    "image type": ({"kind": "ORIGINAL\\PRIMARY\\AXIAL\\A"}, {"kind": "ORIGINAL\\PRIMARY\\AXIAL\\B"}),
    "time of a scan": ({"time": "101500"}, {"time": "101700"}),
    "time of each slice": ({"time": lambda k: 101500 + k}, {"time": lambda k: 101700 + k}),
    "time of each turn of four slices": (
        {"time": lambda k: 101500 + k // 4},
        {"time": lambda k: 101700 + k // 4},
    ),
    "order": ({"instance": lambda k: k}, {"instance": lambda k: 100 + k}),
    "order, one after the other": ({"instance": lambda k: 2 * k}, {"instance": lambda k: 2 * k + 1}),
    "files": ({}, {}),
}


@pytest.mark.parametrize("kind", PHASES)
def test_two_phases_or_kernels_of_one_series_are_never_mixed(write, kind):
    first, second = (draw(12) for _ in range(2))
    write(first, even(12), **PHASES[kind][0])
    folder = write(second, even(12), **PHASES[kind][1])
    found = [read_volume(folder, name) for name in ("3a", "3B")]
    np.testing.assert_array_equal(read_volume(folder).hu, found[0].hu)
    if kind == "files":  # which of them goes first is arbitrary
        found = found if np.array_equal(found[0].hu, first[::-1, ::-1]) else found[::-1]
    assert is_read(found[0], first)
    assert is_read(found[1], second)
    assert read_volume(folder).origin.set_aside == "series 3b"
    refused(folder, "it has no CT series 3ba to use", "3ba")


def test_phases_between_each_other_are_told_apart(write):
    first, second = draw(12), draw(12)
    write(first, even(12), acquisition=1)
    folder = write(second, even(12, start=0.4), acquisition=2)
    assert is_read(read_volume(folder), first)
    assert is_read(read_volume(folder, "3b"), second)


SCANS = {
    "acquisition": ({"acquisition": 1}, {"acquisition": 2}),
    "time of each slice": ({"time": lambda k: 101500 + k}, {"time": lambda k: 101700 + k}),
    "order": ({"instance": lambda k: k}, {"instance": lambda k: 100 + k}),
}


@pytest.mark.parametrize("lengths", [(20, 20), (20, 12)])
@pytest.mark.parametrize("start", [1.5, 0.8])
@pytest.mark.parametrize("kind", SCANS)
def test_scans_whose_slices_lie_between_each_other_are_never_mixed(write, kind, start, lengths):
    first, second = map(draw, lengths)
    write(first, even(lengths[0]), **SCANS[kind][0])
    folder = write(second, even(lengths[1], start=start), **SCANS[kind][1])
    assert is_read(read_volume(folder), first)
    assert is_read(read_volume(folder, "3b"), second)


def test_scans_that_each_lost_a_slice_are_never_mixed(tmp_path, write_slice):
    scans = draw(20), draw(20)
    for number, hu in enumerate(scans):
        for k in set(range(20)) - {8 + number}:
            tags = {TIME: str(101500 + 200 * number + k)}.items()
            place = (-50, -40, 3.0 * k + 1.5 * number)
            write_slice(tmp_path / f"{number}{k:02d}", hu[..., k], place, number=3, tags=tags)
    assert is_read(read_volume(tmp_path), scans[0][..., 9:])
    assert is_read(read_volume(tmp_path, "3b"), scans[1][..., 10:])


def test_one_even_scan_may_be_numbered_and_lie_in_folders_in_any_way(tmp_path, write_slice):
    hu = draw(40)
    for k in range(40):
        half = k % 2
        tags = {TIME: str(101500 + k), INSTANCE: str(20 * half + k // 2)}.items()
        write_slice(tmp_path / f"{half}/{k:02d}", hu[..., k], (-50, -40, 1.5 * k), number=3, tags=tags)
    volume = read_volume(tmp_path)
    assert is_read(volume, hu)
    assert volume.origin.set_aside == ""


OVER_MIDNIGHT = [f"{235950 + k}" if k < 10 else f"{k - 10:06d}" for k in range(20)]


@pytest.mark.parametrize(
    "tags",
    [
        ({"time": lambda k: OVER_MIDNIGHT[k]}, {"time": lambda k: f"{30 + k:06d}"}),
        ({"instance": lambda k: 1 + k}, {"instance": lambda k: 20 - k}),
    ],
)
def test_phases_over_midnight_or_numbered_from_the_other_end_are_never_mixed(write, tags):
    first, second = draw(20), draw(20)
    write(first, even(20), **tags[0])
    folder = write(second, even(20), **tags[1])
    found = [read_volume(folder, name) for name in ("3", "3b")]
    if np.array_equal(found[0].hu, second[::-1, ::-1]):
        found.reverse()
    assert is_read(found[0], first)
    assert is_read(found[1], second)


def test_phases_that_nothing_tells_apart_are_not_guessed(tmp_path, write_slice):
    order = np.random.default_rng([3]).permutation(24)
    for number, hu in enumerate((draw(12), draw(12))):
        for k in range(12):
            write_slice(tmp_path / f"{order[12 * number + k]:02d}", hu[..., k], (-50, -40, 3.0 * k))
    refused(tmp_path, "24 (unevenly spaced CT images|CT images in shorter series)")


def test_two_people_in_one_series_are_called_so(tmp_path, write_slice):
    for patient in ("1", "2"):
        for k in range(12):
            place, tags = (-50, -40, 3.0 * k), {"0010|0020": patient}.items()
            write_slice(tmp_path / f"{k}-{patient}", draw(1)[..., 0], place, number=3, tags=tags)
    refused(tmp_path, "several people: they differ in patient ID. Give each patient a folder of its own")


@pytest.mark.parametrize("tags", [{}, {"acquisition": lambda k: k}, {"time": lambda k: 101500 + k}])
def test_numbers_and_times_of_every_slice_part_no_even_stack(write, tags):
    hu = draw(20)
    volume = read_volume(write(hu, even(20), **tags))
    assert is_read(volume, hu)
    assert volume.origin.set_aside == ""


def test_slices_reconstructed_again_are_set_aside(write):
    hu = draw(40)
    write(hu, even(40), instance=lambda k: k + 1)
    folder = write(draw(12), even(12, start=30), instance=lambda k: k + 41)
    volume = read_volume(folder)
    assert is_read(volume, hu)
    assert volume.origin.set_aside == "series 3b"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("tags", [{"acquisition": 1}, {"time": lambda k: 90000 + k}, {}])
def test_bolus_tracking_is_set_aside(write, tags, first):
    hu, bolus = draw(40), draw(10)
    scan = {"acquisition": 2} if "acquisition" in tags else {"time": lambda k: 100000 + k} if tags else {}
    for images, at, said in ([(bolus, [60.0] * 10, tags), (hu, even(40), scan)])[:: 1 if first else -1]:
        folder = write(images, at, **said)
    volume = read_volume(folder)
    assert is_read(volume, hu)
    assert volume.warnings == ()
    assert volume.origin.set_aside == "10 CT images in shorter series"


def test_a_series_sent_twice_is_read_once(write):
    hu = draw(20)
    write(hu, even(20), instance=lambda k: k)
    folder = write(hu, even(20), instance=lambda k: k)
    volume = read_volume(folder)
    assert is_read(volume, hu)
    assert volume.warnings == ("20 copies of slices left out",)
    assert volume.origin.set_aside == ""


@pytest.mark.parametrize("step", [0.75, 0.625, 1.25, 2.49])
def test_positions_written_with_one_decimal_are_even(write, step):
    hu = draw(40)
    volume = read_volume(write(hu, np.round(even(40, step), 1)))
    assert is_read(volume, hu)
    assert volume.spacing_mm[2] == pytest.approx(step, abs=0.01)


def test_positions_that_jitter_a_little_are_even(write):
    hu = draw(60)
    places = np.array(even(60, 5)) + np.random.default_rng([8]).uniform(-0.1, 0.1, 60)
    assert is_read(read_volume(write(hu, places)), hu)


def test_soft_kernels_go_before_bone_and_thin_steps_before_both(write_stack, tmp_path):
    def store(name, number, kernel, step):
        hu = draw(round(60 / step))
        tags = {KERNEL: kernel, "0008|0070": "SIEMENS"}
        places = [(-50, -40, step * k) for k in range(hu.shape[2])]
        write_stack(tmp_path / name, hu, series=name, number=number, places=places, tags=tags.items())

    store("1", 2, "Br69f", 3)
    store("2", 3, "Br40f", 3)
    assert read_volume(tmp_path).origin.series == "3"
    store("4", 4, "Br69f", 2)
    volume = read_volume(tmp_path)
    assert volume.origin.series == "4"
    assert volume.warnings == ()
    refused(tmp_path, r"it has 2: 20 slices, step 3 mm, kernel Br69f; 3: .*, kernel Br40f; 4: 30 ", "9")


def test_two_series_of_one_number_have_names(tmp_path, write_stack):
    one, other = draw(20), draw(14)
    write_stack(tmp_path / "a", one, series="1", number=5)
    write_stack(tmp_path / "b", other, series="2", number=5)
    assert is_read(read_volume(tmp_path, "5"), one)
    assert is_read(read_volume(tmp_path, "5b"), other)
    refused(tmp_path, "no CT series 5c to use .*5: 20 slices, step 3 mm; 5b: 14", "5c")
    refused(tmp_path, "what was given as series is no name of a series", "chest")


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (range(55, 57), "outside the radiograph 8 mm of slices are missing 96 mm above the hip"),
        (range(42, 43), "within the radiograph 4 mm of slices are missing 44 mm above the hip"),
        (range(33, 34), r"within 15 mm of the landmark \(slices are missing where what was read ends\)"),
    ],
)
def test_lost_slices_count_where_the_radiograph_shows_them(
    tmp_path, pelvis, landmarks, write_stack, lost, message
):
    hu = np.concatenate([pelvis.hu[::-1, ::-1], pelvis.hu[::-1, ::-1, -20:]], 2)
    places = [(-158.0, -100.0, -420 + 4.0 * k) for k in range(hu.shape[2])]
    write_stack(tmp_path, hu, places=places, spacing=(4, 4))
    for k in lost:
        (tmp_path / f"{k:03d}.dcm").unlink()
    settings = ProjectSettings.model_validate({"detector_px": 32, "field_of_view_mm": 100})
    scan = locate_hips(tmp_path, None, landmarks, settings)
    if "outside" in message:
        row, _ = request_hip(scan, "L", settings)
        assert message in row["warnings"]
    else:
        with pytest.raises(CtError, match=f"{message}. Export the whole series again, with every slice once"):
            request_hip(scan, "L", settings)
