import json

import pytest

from hipoa.errors import CtError
from hipoa.imaging.hips import Hip, HipCentres
from hipoa.imaging.localization.landmarks import locate_by_landmarks, side_of

RIGHT, LEFT = (85.0, 10.0, -300.0), (-86.0, 12.0, -301.0)


def fcsv(space, sign):
    rows = [
        f"{n},{sign * x},{sign * y},{z},0,0,0,1,1,1,0,{name},,"
        for n, (name, (x, y, z)) in enumerate((("hip R", RIGHT), ("hip L", LEFT)))
    ]
    return "\n".join([
        "# Markups fiducial file version = 4.11",
        f"# CoordinateSystem = {space}",
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID",
        *rows,
    ])  # fmt: skip


def markups(space, sign):
    points = [
        {"label": name, "position": [sign * x, sign * y, z]}
        for name, (x, y, z) in (("FemoralHeadRight", RIGHT), ("FemoralHeadLeft", LEFT))
    ]
    return json.dumps({"markups": [{"coordinateSystem": space, "controlPoints": points}]})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.fcsv", fcsv("RAS", 1)),
        ("a.fcsv", fcsv("LPS", -1)),
        ("a.fcsv", fcsv("1", -1)),
        ("a.mrk.json", markups("RAS", 1)),
        ("a.mrk.json", markups("LPS", -1)),
        ("a.csv", "side,r,a,s\nR,85,10,-300\nL,-86,12,-301\n"),
        ("a.csv", "name;l;p;s\nright head;-85;-10;-300\nleft head;86;-12;-301\n"),
        ("a.csv", "# space: LPS\nside,x,y,z\nR,-85,-10,-300\nL,86,-12,-301\n"),
        ("a.csv", "side,centre_r_mm,centre_a_mm,centre_s_mm\nR,85,10,-300\nL,-86,12,-301\n"),
    ],
)
def test_both_coordinate_systems_give_the_same_hips(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    hips = locate_by_landmarks(tmp_path / name).hips
    assert hips["R"].centre_ras_mm == pytest.approx(RIGHT)
    assert hips["L"].centre_ras_mm == pytest.approx(LEFT)
    assert hips["R"].method == "landmarks"


def test_one_hip_alone(tmp_path):
    (tmp_path / "a.csv").write_text("side,r,a,s\nR,85,10,-300\n")
    found = locate_by_landmarks(tmp_path / "a.csv")
    assert set(found.hips) == {"R"}
    assert "no landmark of this side" in found.missing["L"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "side,x,y,z\nR,85,10,-300\n", "neither RAS nor LPS"),
        ("a.csv", "side,r,a,s\nR,85,10,-300\nR,80,10,-300\n", "two landmarks are of the side R"),
        ("a.csv", "side,r,a,s\npubis,0,10,-300\n", "no landmark is named after a side"),
        ("a.csv", "side,r,a,s\nR,-85,10,-300\nL,86,12,-301\n", "hip lies -171 mm to the right"),
        ("a.csv", "side,r,a,s\nR,nan,10,-300\n", "not finite"),
        ("a.mrk.json", "no json", "cannot be read"),
    ],
)
def test_what_cannot_be_used(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(CtError, match=message):
        locate_by_landmarks(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("L", "L"),
        ("hip_R", "R"),
        ("FemoralHeadLeft", "L"),
        ("right-left", ""),
        ("Lumbar", ""),
        ("head 2 rt", "R"),
    ],
)
def test_the_side_in_a_name(name, side):
    assert side_of(name) == side


def test_every_side_is_found_or_missing():
    with pytest.raises(ValueError, match="every side"):
        HipCentres({"R": Hip("R", RIGHT, 24, "labels", 1)})


@pytest.mark.parametrize("name", ["socket_L", "Left acetabulum", "L-Acetabular-centre"])
def test_a_native_socket_is_no_second_head(tmp_path, name):
    path = tmp_path / "marks.csv"
    path.write_text(f"name,r,a,s\nhead_L,-90,5,40\nhead_R,85,4,0\n{name},-80,6,2\n")
    hips = locate_by_landmarks(path).hips
    assert hips["L"].centre_ras_mm == (-90, 5, 40)
    assert hips["L"].socket_ras_mm == (-80, 6, 2)
    assert hips["R"].socket_ras_mm is None


def test_two_sockets_of_a_side(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("name,r,a,s\nL,-90,5,40\nsocket L,-80,6,2\nL socket,-80,6,2\n")
    with pytest.raises(CtError, match="two landmarks are of the side L"):
        locate_by_landmarks(path)


def test_a_socket_alone_is_no_hip(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("name,r,a,s\nR,90,5,40\nsocket L,-80,6,2\n")
    assert set(locate_by_landmarks(path).hips) == {"R"}
