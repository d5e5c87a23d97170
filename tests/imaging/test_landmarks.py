import json

import pytest

from hipoa.core.errors import CtError
from hipoa.imaging.localization.hip_centres import Hip, HipCentres
from hipoa.imaging.localization.landmarks import locate_by_landmarks
from hipoa.imaging.localization.names import Meaning, read_landmark

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
        (
            "a.csv",
            "side,r,a,s\nR,85,10,-300\nR,80,10,-300\n",
            "two landmarks are femoral heads of the side R",
        ),
        ("a.csv", "side,r,a,s\npubis,0,10,-300\n", "of 1 landmarks none is named as a femoral head"),
        ("a.csv", "side,r,a,s\nR,Doe,10,-300\n", "a coordinate or radius is no number"),
        ("a.csv", "side,r,a,s,radius\nR,85,10,-300,inf\n", "not finite"),
        (
            "a.csv",
            "side,r,a,s\nL,-90,5,0,0\nR,90,5,0,0\n",
            "more cells than there are columns: write decimal",
        ),
        ("a.csv", 'side,r,a,s,note\nL,-90,0,0,"x\nR,90,0,0,y\n', "Look for a quote that is not closed"),
        ("a.fcsv", "# CoordinateSystem = RAS\n# columns = x,y,z,label\n-90,5,0,0,L\n", "more cells than"),
        (
            "a.mrk.json",
            '{"markups": [{"coordinateSystem": "RAS", "coordinateUnits": "cm", "controlPoints": []}]}',
            "not in mm",
        ),
        ("a.mrk.json", "[]", "laid out as no table or markups"),
        (
            "a.csv",
            "side,r,a,s\nR,-85,10,-300\nL,86,12,-301\n",
            r"left and right centres appear swapped \(171 mm\)",
        ),
        ("a.csv", "side,r,a,s\nR,nan,10,-300\n", "not finite"),
        ("a.mrk.json", "no json", "cannot be read"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.csv", f"side,r,a,s\nR,{'1' * 400_000},10,-300\n", "cannot be read"),
    ],
)
def test_what_cannot_be_used(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(CtError, match=message):
        locate_by_landmarks(tmp_path / name)


@pytest.mark.parametrize(
    "names",
    [
        ("L", "R"),
        ("left", "Right"),
        ("hip_L", "hip_R"),
        ("FemoralHeadLeft", "FemoralHeadRight"),
        ("leftfemoralhead", "right femur head"),
        ("head 2 lt", "head 2 rt"),
        ("LHJC", "rhjc"),
        ("FHC-L", "R_FH"),
        ("left hip joint center", "hip centre (right)"),
        ("caput femoris links", "Head of the femur R"),
        ("Femurkopf li", "Femurkopf re"),
        ("Hüftkopf links", "rechter Hueftkopf"),
        ("Hu\u0308ftgelenkszentrum links", "HÜFTGELENK RECHTS"),
        ("linke Hüfte", "rechte Hüfte"),
        ("左大腿骨頭", "右大腿骨頭中心"),
        ("左側股関節中心", "骨頭 右"),
        ("\uff2c", "\uff26\uff28\uff3f\uff32"),
        ("tête fémorale gauche", "tête fémorale (droite)"),
        ("cabeza femoral izquierda", "cabeza femoral derecha"),
        ("testa femorale sinistra", "testa femorale destra"),
        ("caput femoris sinister", "caput femoris dexter"),
    ],
)
def test_names_of_femoral_heads(names):
    assert [read_landmark(name) for name in names] == [Meaning("head", "L"), Meaning("head", "R")]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "ASIS-L",
            "AIIS_R",
            "greater trochanter L",
            "LT",
            "Trochanter major rechts",
            "左大転子",
            "右上前腸骨棘",
        ),
        *("L5", "L-5", "L 4", "R1", "S1 left", "Lumbar", "left knee", "Femurschaft links", "femur_left"),
        *("femoral neck R", "head-neck junction R", "hip bone L", "Hüftbein links", "pubis", "left centre"),
        *("acetabular rim L", "左大腿骨頸部", "Lili", "F-1", "right-left", "L R hip", "hip", "Doe L hip", ""),
        *("Kopf der Hüfte", "Mitte der Hüfte", "Zentrum der Hüfte links", "hip dx", "sx hip"),
    ],
)
def test_names_of_other_landmarks(name):
    meaning = read_landmark(name)
    assert not (meaning.kind == "head" and meaning.side)


@pytest.mark.parametrize(
    ("name", "side", "meaning"),
    [
        ("", "L", Meaning("head", "L")),
        ("", "lt", Meaning("head", "L")),
        ("", "gauche", Meaning("head", "L")),
        ("", "Der.", Meaning("head", "R")),
        ("femoral head", "dx", Meaning("head", "R")),
        ("", "우측", Meaning("head", "R")),
        ("", "d", Meaning("", "")),
        ("femoral head", "R", Meaning("head", "R")),
        ("socket", "R", Meaning("socket", "R")),
        ("ASIS", "L", Meaning("", "L")),
        ("", "L5", Meaning("", "")),
        ("femoral head right", "L", Meaning("head", "")),
    ],
)
def test_a_name_beside_a_column_for_the_side(name, side, meaning):
    found = read_landmark(name, side)
    assert found.kind == meaning.kind
    assert found.side == meaning.side or not meaning.kind


def mark_up(path, points):
    controls = [{"label": name, "position": place} for name, place in points.items()]
    path.write_text(json.dumps({"markups": [{"coordinateSystem": "RAS", "controlPoints": controls}]}))
    return path


def test_landmarks_that_are_no_heads_are_refused_and_not_named(tmp_path):
    path = mark_up(tmp_path / "a.mrk.json", {"ASIS-L": LEFT, "ASIS-R": RIGHT, "Doe R": RIGHT})
    with pytest.raises(CtError, match="of 3 landmarks none is named as a femoral head of a side") as error:
        locate_by_landmarks(path)
    assert "femoral_head_L" in str(error.value)
    assert "Doe" not in str(error.value)
    assert "ASIS" not in str(error.value)


def test_a_vertebra_is_no_left_hip(tmp_path):
    found = locate_by_landmarks(mark_up(tmp_path / "a.mrk.json", {"L5": LEFT, "Right femoral head": RIGHT}))
    assert set(found.hips) == {"R"}
    assert "no landmark of this side" in found.missing["L"]


def test_a_column_for_the_side_does_not_hide_the_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("side,name,r,a,s\nL,ASIS,-86,12,-301\nR,femoral head,85,10,-300\n")
    assert set(locate_by_landmarks(path).hips) == {"R"}


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "utf-16", "utf-16-le", "utf-8-sig"])
@pytest.mark.parametrize("name", ["左大腿骨頭", "左大腿骨頭中心", "左股関節", "左側股関節中心", "左", "LHJC"])
def test_japanese_names_in_the_encodings_of_spreadsheets(tmp_path, name, encoding):
    other = name.replace("左", "右").replace("L", "R")
    rows = f"名前,R,A,S\n{name},-86,12,-301\n{other},85,10,-300\n"
    (tmp_path / "a.csv").write_text(rows, encoding=encoding)
    hips = locate_by_landmarks(tmp_path / "a.csv").hips
    assert (hips["L"].centre_ras_mm, hips["R"].centre_ras_mm) == (LEFT, RIGHT)


def test_one_hip_in_shift_jis(tmp_path):
    (tmp_path / "a.csv").write_text("name,r,a,s\n左大腿骨頭,-86,12,-301\n", encoding="cp932")
    assert set(locate_by_landmarks(tmp_path / "a.csv").hips) == {"L"}


def test_text_in_an_encoding_that_is_not_sure_is_told(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"name,r,a,s\nL,-86,12,-301\n\x81\xff\x9a,85,10,-300\n")
    with pytest.raises(CtError, match="Save the landmarks again as text in UTF-8"):
        locate_by_landmarks(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "rows",
    [
        "Name ,R [mm],A (mm),S mm,Radius_mm\nL,-86.5,12.25,-301,24\n,,,,\n",
        "ＮＡＭＥ,Ｒ,Ａ,Ｓ\n左,-86.5,12.25,-301\n",  # noqa: RUF001
        "Side;Center_R;Centre A;center_s_mm\nlinks;-86,5;12,25;-301\n;;;\n",
        "左右\tX\tY\tZ\tSpace\n左\t86.5\t-12.25\t-301\tlps\n",
    ],
)
def test_headings_and_decimals_of_spreadsheets(tmp_path, rows):
    (tmp_path / "a.csv").write_text(rows, encoding="utf-8")
    assert locate_by_landmarks(tmp_path / "a.csv").hips["L"].centre_ras_mm == (-86.5, 12.25, -301)


def test_headings_that_are_not_sure_are_refused(tmp_path):
    for rows in ("name,r cm,a cm,s cm\nL,1,2,3\n", "name,r,a\nL,1,2\n", "name,r,a,s\nL,1,2\n"):
        (tmp_path / "a.csv").write_text(rows)
        with pytest.raises(CtError, match="the landmarks cannot be used"):
            locate_by_landmarks(tmp_path / "a.csv")


def test_several_lists_in_any_order(tmp_path):
    lists = [
        {"coordinateSystem": space, "controlPoints": [{"label": name, "position": place}]}
        for space, name, place in (
            ("LPS", "Right femoral head-1", [-85, -10, -300]),
            ("RAS", "F-1", [0, 0, 0]),
            ("RAS", "Left femoral head-1", [-86, 12, -301]),
        )
    ]
    (tmp_path / "a.mrk.json").write_text(json.dumps({"markups": lists}))
    hips = locate_by_landmarks(tmp_path / "a.mrk.json").hips
    assert (hips["L"].centre_ras_mm, hips["R"].centre_ras_mm) == (LEFT, RIGHT)


def test_points_without_a_name_are_refused(tmp_path):
    path = mark_up(tmp_path / "a.mrk.json", {"F-1": LEFT, "F-2": RIGHT})
    with pytest.raises(
        CtError, match=r"of 2 landmarks none is named .* Name each femoral head with its side"
    ):
        locate_by_landmarks(path)


def test_words_of_the_file_are_in_no_message(tmp_path):
    for text in ("# space: Doe\nside,x,y,z\nR,1,2,3\n", "side,r,a,s\nR,Doe,10,-300\n"):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(CtError) as error:
            locate_by_landmarks(tmp_path / "a.csv")
        assert "Doe" not in str(error.value)


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
    with pytest.raises(CtError, match="two landmarks are sockets of the side L"):
        locate_by_landmarks(path)


def test_a_socket_alone_is_no_hip(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text("name,r,a,s\nR,90,5,40\nsocket L,-80,6,2\n")
    assert set(locate_by_landmarks(path).hips) == {"R"}


def test_exchanged_sockets_are_refused(tmp_path):
    path = tmp_path / "marks.csv"
    heads = "name,r,a,s\nL,-86,12,-301\nR,85,10,-300\n"
    path.write_text(heads + "socket L,-80,6,-380\nsocket R,80,6,-301\n")
    assert locate_by_landmarks(path).hips["L"].socket_ras_mm == (-80, 6, -380)
    path.write_text(heads + "socket R,-80,6,-301\nsocket L,80,6,-301\n")
    with pytest.raises(CtError, match="the socket of the side L lies more than 120 mm from its head"):
        locate_by_landmarks(path)
