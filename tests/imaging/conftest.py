"""Small CTs with known contents."""

import nibabel as nib
import numpy as np
import pytest

from hipoa.imaging.volume import Volume

HEADS = {"R": np.array([86.0, 4.0, -300.0]), "L": np.array([-86.0, 4.0, -300.0])}


def fill_ball(hu, ras_from_ijk, centre, radius, value):
    index = np.stack(np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij"), -1)
    points = index @ ras_from_ijk[:3, :3].T + ras_from_ijk[:3, 3]
    hu[np.linalg.norm(points - centre, axis=-1) <= radius] = value


@pytest.fixture(scope="session")
def pelvis():
    """A water body with two balls of bone; on the patient's right side a ball of metal below the head."""
    spacing = np.array([4.0, 4.0, 4.0])
    shape = (80, 50, 60)
    ras_from_ijk = np.diag([*spacing, 1.0])
    ras_from_ijk[:3, 3] = [-158, -96, -420]
    hu = np.full(shape, -1000, np.int16)
    hu[6:-6, 6:-6] = 0
    for centre in HEADS.values():
        fill_ball(hu, ras_from_ijk, centre, 24, 800)
    fill_ball(hu, ras_from_ijk, HEADS["R"] + [0, 0, -45], 10, 3000)
    return Volume(hu, ras_from_ijk)


@pytest.fixture(scope="session")
def landmarks(tmp_path_factory):
    path = tmp_path_factory.mktemp("landmarks") / "heads.csv"
    rows = [f"{side},{r},{a},{s},24" for side, (r, a, s) in HEADS.items()]
    path.write_text("\n".join(["side,centre_r_mm,centre_a_mm,centre_s_mm,radius_mm", *rows]) + "\n")
    return path


@pytest.fixture(scope="session")
def write_nifti():
    def write(path, array, ras_from_ijk):
        image = nib.Nifti1Image(array, ras_from_ijk)
        image.set_sform(ras_from_ijk, 1)
        image.set_qform(ras_from_ijk, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, path)
        return path

    return write


@pytest.fixture
def heads():
    return HEADS
