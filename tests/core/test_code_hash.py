import ast
import shutil
from pathlib import Path

import pytest

import hipoa
from hipoa.core.code_hash import code_hash

PACKAGE = Path(hipoa.__file__).parent

MODULES = {
    "__init__.py": '"""A package."""\n',
    "core/errors.py": '"""Errors."""\n\nclass CtError(ValueError):\n    pass\n',
    "core/files.py": "def write(path):\n    path.touch()\n",
    "files.py": '"""Files."""\n\ndef read(path):\n    return path\n',
    "unused.py": "X = 1\n",
    "imaging/__init__.py": "",
    "imaging/physics.py": "MU = 0.02\n",
    "imaging/stage.py": (
        '"""A stage."""\n'
        "from hipoa.core.errors import CtError\n"
        "from hipoa import files\n"
        "from hipoa.core.files import write\n"
        "LIMIT = 3\n"
        "def run(path):\n"
        '    """Runs."""\n'
        "    from hipoa.imaging.physics import MU\n"
        '    return f"{files.read(path)!r}: {MU:.2f}"\n'
    ),
}


@pytest.fixture
def hash_of(tmp_path_factory):
    """The hash of the stage in a package with some files changed, each in a folder of its own."""

    def make(**changed):
        root = tmp_path_factory.mktemp("root")
        for name, text in (
            MODULES | {key.replace("__", "/") + ".py": text for key, text in changed.items()}
        ).items():
            path = root / "hipoa" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return code_hash("hipoa.imaging.stage", root)

    return make


def test_the_hash_is_short_and_does_not_depend_on_the_folder(hash_of):
    one, other = hash_of(), hash_of()
    assert one == other
    assert len(one) == 16
    assert int(one, 16) >= 0


def test_comments_docstrings_and_layout_do_not_count(hash_of):
    text = (
        "# A comment.\nfrom hipoa.core.errors import (\n    CtError,\n)\nfrom hipoa import files\n\n\n"
        "from hipoa.core.files import write\n"
        'LIMIT = 3  # of something\n"""Said of the limit."""\n\n\n'
        "def run(path):\n    '''Does\n    otherwise.'''\n\n    from hipoa.imaging.physics import MU\n"
        "    return f'{files.read(path)!r}: {MU:.2f}'\n"
    )
    assert hash_of(imaging__stage=text) == hash_of()
    assert hash_of(files="def read(path):\n    return path\n") == hash_of()


@pytest.mark.parametrize(
    "changed",
    [
        {"files": "def read(path):\n    return path.parent\n"},
        {"imaging__physics": "MU = 0.03\n"},
        {"imaging__stage": MODULES["imaging/stage.py"].replace("LIMIT = 3", "LIMIT = 4")},
        {"imaging__stage": MODULES["imaging/stage.py"].replace(":.2f", ":.3f")},
        {"imaging__stage": MODULES["imaging/stage.py"].replace("!r", "!s")},
        {"imaging__stage": MODULES["imaging/stage.py"].replace("}: {", "}; {")},
    ],
)
def test_code_that_is_imported_counts(hash_of, changed):
    assert hash_of(**changed) != hash_of()


def test_core_and_what_is_not_imported_do_not_count(hash_of):
    assert hash_of(core__errors="class CtError(Exception):\n    pass\n") == hash_of()
    assert hash_of(core__files="def write(path):\n    path.write_text('')\n") == hash_of()
    assert hash_of(unused="X = 2\n") == hash_of()
    assert hash_of(imaging__other="import hipoa.imaging.stage\n") == hash_of()


def test_of_core_the_constants_that_are_used_count(hash_of):
    stage = MODULES["imaging/stage.py"].replace("LIMIT = 3\n", "from hipoa.core.constants import LIMIT\n")
    before, other, after = (
        hash_of(imaging__stage=stage, core__constants=text)
        for text in ("LIMIT = 3\nMORE = 1\n", "LIMIT = 3\nMORE = 2\n", "LIMIT = 4\nMORE = 1\n")
    )
    assert before == other != after


@pytest.mark.parametrize(
    "line",
    [
        "import hipoa.unused",
        "from hipoa.unused import X",
        "from ..unused import X",
        "from .. import unused",
        "if False:\n    import hipoa.unused as other",
    ],
)
def test_every_way_of_importing_counts(hash_of, line):
    stage = f"{line}\n{MODULES['imaging/stage.py']}"
    assert hash_of(imaging__stage=stage) != hash_of(imaging__stage=stage, unused="X = 2\n")


SETTINGS = (
    "from hipoa.core.files import read\n"
    "BOUND = 3\nclass Mine:\n    a: int = BOUND\nclass Other:\n    b: int = 1\n"
)
STAGE = "from hipoa.imaging.settings import Mine\n"


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [("b: int = 1", "b: int = 2", False), ("a: int", "c: int", True), ("BOUND = 3", "BOUND = 4", True)],
)
def test_of_settings_only_the_models_imported_count(hash_of, old, new, counts):
    one = hash_of(imaging__stage=STAGE, imaging__settings=SETTINGS)
    other = hash_of(imaging__stage=STAGE, imaging__settings=SETTINGS.replace(old, new))
    assert (one != other) == counts


CONSTANTS = (
    "from hipoa.unused import X\nfrom hipoa.files import read\n"
    "MU = 2 * X\nOTHER = 1\ndef attenuate(x):\n    return read(x) * MU\n"
)


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ({"imaging__physics": CONSTANTS.replace("2 * X", "3 * X")}, True),
        ({"unused": "X = 2\n"}, True),
        ({"imaging__physics": CONSTANTS.replace("* MU", "/ MU")}, False),
        ({"imaging__physics": CONSTANTS.replace("OTHER = 1", "OTHER = 2")}, False),
        ({"files": "def read(path):\n    return path.parent\n"}, False),
        ({"imaging__physics": CONSTANTS + "register(MU)\n"}, True),
    ],
)
def test_a_constant_counts_with_what_it_is_made_of_alone(hash_of, changed, counts):
    given = {"imaging__stage": "from hipoa.imaging.physics import MU\n", "imaging__physics": CONSTANTS}
    assert (hash_of(**given) != hash_of(**given | changed)) == counts


@pytest.mark.parametrize("line", ["import hipoa.imaging.settings", "from hipoa.imaging import settings"])
def test_settings_imported_as_a_whole_count_as_a_whole(hash_of, line):
    one = hash_of(imaging__stage=f"{line}\n", imaging__settings=SETTINGS)
    assert one != hash_of(imaging__stage=f"{line}\n", imaging__settings=SETTINGS.replace("b: int", "c: int"))


def test_modules_that_import_each_other(hash_of):
    circle = "from hipoa.imaging import stage\nMU = 0.02\n"
    assert hash_of(imaging__physics=circle) == hash_of(imaging__physics=circle)


def test_a_copy_of_the_real_package_has_the_same_hashes(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "hipoa", ignore=shutil.ignore_patterns("__pycache__"))
    for stage in ("hipoa.evaluation.metrics.metrics", "hipoa.triage.triage"):
        assert code_hash(stage, tmp_path) == code_hash(stage)
    assert code_hash("hipoa.evaluation.metrics.metrics") != code_hash("hipoa.triage.triage")


def test_package_files_hold_no_code_that_a_hash_would_miss():
    for path in PACKAGE.glob("*/**/__init__.py"):
        body = ast.parse(path.read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), path
