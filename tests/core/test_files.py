import hashlib
import io
import stat
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hipoa.core.columns import as_integers, as_numbers, format_number, read_columns
from hipoa.core.files import (
    read_csv,
    read_json,
    read_npz,
    replacing,
    sha256,
    write_csv,
    write_json,
    write_npz,
    write_text,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")


def test_a_fault_half_way_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="killed"):
        write_half(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_a_success_replaces_the_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "folder" / "volume.nii.gz"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.name.endswith(".volume.nii.gz")
            temporary.write_text(text)
        assert path.read_text() == text
    assert names(path.parent) == ["volume.nii.gz"]


def test_a_row_that_cannot_be_written_leaves_the_old_table(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ("a", "b"), [{"a": 1}])
    old = path.read_bytes()
    with pytest.raises(ValueError, match="'c'"):
        write_csv(path, ("a", "b"), [{"a": 1}, {"a": 2, "c": 3}])
    assert path.read_bytes() == old


def test_files_have_the_permissions_that_new_files_have(tmp_path):
    plain, written = tmp_path / "plain", tmp_path / "written"
    plain.write_text("")
    write_text(written, "")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_missing_and_none_are_empty_cells_and_numbers_are_plain(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ("a", "b", "c"), [{"a": None, "b": 0.25}])
    assert path.read_bytes() == b"a,b,c\n,0.25,\n"
    assert read_csv(path) == [{"a": "", "b": "0.25", "c": ""}]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))


@given(st.lists(st.fixed_dictionaries({"a": cells, "b": cells}), max_size=4))
@settings(deadline=None, max_examples=60)
def test_a_table_is_read_as_it_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round.csv"
    write_csv(path, ("a", "b"), rows)
    assert read_csv(path) == rows


def test_a_carriage_return_breaks_no_row(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ("a", "b"), [{"a": "one\rtwo\r\nthree", "b": "x"}])
    assert read_csv(path) == [{"a": "one\ntwo\nthree", "b": "x"}]


def test_equal_content_is_an_equal_json_file(tmp_path):
    write_json(tmp_path / "one.json", {"b": [1, 2], "a": "ü"})
    write_json(tmp_path / "other.json", {"a": "ü", "b": [1, 2]})
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert read_json(tmp_path / "one.json") == {"a": "ü", "b": [1, 2]}
    assert "ü" in (tmp_path / "one.json").read_text(encoding="utf-8")


def test_json_holds_no_number_that_is_not_finite(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "bad.json", {"loss": float("nan")})
    assert names(tmp_path) == []


def test_arrays_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "stack.npz"
    arrays = {"hip_id": np.array(["a_L", "b_R"]), "x": np.zeros((2, 3), np.float32), "none": np.zeros((0, 4))}
    write_npz(path, arrays)
    first = path.read_bytes()
    read = read_npz(path)
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    write_npz(path, arrays)
    assert path.read_bytes() == first
    assert names(tmp_path) == ["stack.npz"]


def test_the_bytes_of_a_stack_stay_the_same(tmp_path):
    """No code hash counts the writers: what they write is pinned here."""
    arrays = {"hip_id": np.array(["a_L"]), "x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    write_npz(tmp_path / "s.npz", arrays)
    with zipfile.ZipFile(tmp_path / "s.npz") as archive:
        assert archive.namelist() == ["hip_id.npy", "x.npy"]
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            assert archive.read(f"{name}.npy") == buffer.getvalue()
            assert archive.getinfo(f"{name}.npy").date_time == (1980, 1, 1, 0, 0, 0)
    write_json(tmp_path / "s.json", {"b": [1, 0.1], "a": {"d": None, "c": "ü"}})
    text = '{\n  "a": {\n    "c": "ü",\n    "d": null\n  },\n  "b": [\n    1,\n    0.1\n  ]\n}\n'
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == text
    write_csv(tmp_path / "s.csv", ("a", "b"), [{"a": 'x, "y"', "b": True}, {"b": 1e-07}])
    assert (tmp_path / "s.csv").read_bytes() == b'a,b\n"x, ""y""",True\n,1e-07\n'


def test_columns_are_read_and_numbers_written_the_same(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("hip_id,grade,x\na_L,3,0.5\nb_R,,\n")
    read = read_columns(path, ("hip_id", "grade"))
    assert {name: values.tolist() for name, values in read.items()} == {
        "hip_id": ["a_L", "b_R"],
        "grade": ["3", ""],
    }
    assert as_integers(read["grade"]).tolist() == [3, -1]
    assert np.isnan(as_numbers(read["grade"])).tolist() == [False, True]
    assert read_columns(path, ("hip_id", "x"), filled="grade")["hip_id"].tolist() == ["a_L"]
    numbers = (1 / 3, 1e-7, 123456.7, 2.0, float("nan"))
    assert [format_number(each) for each in numbers] == ["0.333333", "1e-07", "123457", "2", ""]


def test_the_hash_of_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"bytes")
    assert sha256(path) == hashlib.sha256(b"bytes").hexdigest()


def test_python_objects_are_not_written(tmp_path):
    with pytest.raises(TypeError, match=r"stack.npz: array 'hip_id' holds Python objects"):
        write_npz(tmp_path / "stack.npz", {"hip_id": np.array(["a_L", None])})
    assert names(tmp_path) == []


def test_python_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "stack.npz", hip_id=np.array(["a_L", None]))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_npz(tmp_path / "stack.npz")
