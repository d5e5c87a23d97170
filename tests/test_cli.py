import argparse
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest
from pydantic import Field

import hipoa
from hipoa import cli
from hipoa.cli import COMMANDS, main
from hipoa.core.errors import CtError
from hipoa.core.settings import Settings


class Colours(Settings):
    count: int = Field(3, ge=1, description="how many, at most 100 %")
    share: float = 0.5
    kind: Literal["one", "2"] = "one"
    name: str = ""
    maybe: str | None = None
    limit_mm: float | None = 1.0
    levels: tuple[float, ...] = (0.1,)
    words: tuple[str, ...] = ("a",)
    on: bool = True
    table: tuple[tuple[int, int], ...] = ((1, 1), (1, 2))


class Row(Settings):
    network: str


class Clash(Settings):
    share: float = 0.1


seen = {}


def plain(
    settings: Colours, *, out: Path, hips: list[Path], repeat: int = 0, tune: Path | None = None
) -> None:
    """Does it.

    Args:
        settings: The settings.
        out: The table, 100 % of it,
            written whole.
        hips: Tables.

    Raises:
        CtError: Never.
    """
    seen.update(settings=settings, out=out, hips=hips, repeat=repeat, tune=tune)


def lists(*, grades: list[Path] | None = None, names: list[str]) -> None:
    """Takes lists."""
    seen.update(grades=grades, names=names)


def one_ct(ct: Path, *, out: Path) -> None:
    """Takes a CT."""
    seen.update(ct=ct, out=out)


def two_models(settings: Colours, row: Row) -> None:
    """Takes two models."""
    seen.update(settings=settings, row=row)


def clashing(settings: Colours, other: Clash) -> None:
    """Takes two models with a field in common."""


def clashing_with_a_file(settings: Colours, *, name: Path) -> None:
    """Takes a model and a file of one name."""


def switched(*, on: bool = False) -> None:
    """Takes a switch."""
    seen.update(on=on)


def unheard_of(*, on: complex) -> None:
    """Takes what no flag can be."""


def refusing(*, out: Path) -> None:
    """Refuses."""
    raise CtError("case 7", "slices\n  are missing", "Export them again.")


@pytest.fixture
def call(monkeypatch):
    """Runs the command line on a function in the place of a stage."""

    def make(run, *argv):
        seen.clear()
        monkeypatch.setitem(COMMANDS, "stage", ("a.stage", "a stage"))
        monkeypatch.setattr(cli.importlib, "import_module", lambda name: SimpleNamespace(run=run))
        return main(["stage", *argv])

    return make


FILES = ("--out", "a.csv", "--hips", "b.csv", "c.csv")


def test_parameters_become_flags(call):
    assert call(plain, *FILES, "--repeat", "2") == 0
    assert seen == {
        "settings": Colours(),
        "out": Path("a.csv"),
        "hips": [Path("b.csv"), Path("c.csv")],
        "repeat": 2,
        "tune": None,
    }


@pytest.mark.parametrize("given", [[], ["--on"]])
def test_a_switch_is_off_unless_it_is_named(call, given):
    assert call(switched, *given) == 0
    assert seen == {"on": bool(given)}


@pytest.mark.parametrize(
    ("flag", "text", "field", "value"),
    [
        ("--count", "7", "count", 7),
        ("--share", "1e-3", "share", 0.001),
        ("--share", "-0.5", "share", -0.5),
        ("--kind", "2", "kind", "2"),
        ("--name", "12", "name", "12"),
        ("--name", "null", "name", "null"),
        ("--name", "", "name", ""),
        ("--maybe", "true", "maybe", "true"),
        ("--maybe", "null", "maybe", None),
        ("--limit-mm", "null", "limit_mm", None),
        ("--limit-mm", "2.5", "limit_mm", 2.5),
        ("--levels", "[1, 0.5]", "levels", (1, 0.5)),
        ("--levels", "[]", "levels", ()),
        ("--words", '["b", "c"]', "words", ("b", "c")),
        ("--on", "false", "on", False),
        ("--on", "False", "on", False),
        ("--table", "[[2, 3]]", "table", ((2, 3),)),
    ],
)
def test_the_fields_of_settings_become_flags(call, flag, text, field, value):
    assert call(plain, *FILES, flag, text) == 0
    assert seen["settings"] == Colours(**{field: value})


def test_lists_may_be_empty_or_left_out(call):
    assert call(lists, "--names", "--grades") == 0
    assert seen == {"grades": [], "names": []}
    assert call(lists, "--names", "a", "b") == 0
    assert seen == {"grades": None, "names": ["a", "b"]}
    assert call(lists, "--names", "--grades", "a.csv", "b.csv") == 0
    assert seen["grades"] == [Path("a.csv"), Path("b.csv")]


def test_a_ct_is_given_without_a_flag(call):
    assert call(one_ct, "scan.nii.gz", "--out", "folder") == 0
    assert seen == {"ct": Path("scan.nii.gz"), "out": Path("folder")}


def test_two_models_of_settings(call):
    assert call(two_models, "--network", "vit", "--count", "1") == 0
    assert seen == {"settings": Colours(count=1), "row": Row(network="vit")}


@pytest.mark.parametrize(
    ("run", "argv", "message"),
    [
        (plain, ("--out", "a"), "stage: the following arguments are required: --hips. See "),
        (plain, (*FILES, "--colour", "red"), "stage: unrecognized arguments: --colour red. See "),
        (plain, (*FILES, "--repea", "1"), "stage: unrecognized arguments: --repea 1. See "),
        (plain, (*FILES, "--repeat", "x"), "stage: argument --repeat: invalid int value: 'x'. See "),
        (
            plain,
            (*FILES, "--count", "0"),
            "stage: count: Input should be greater than or equal to 1. Correct ",
        ),
        (plain, (*FILES, "--kind", "two"), "stage: kind: Input should be 'one' or '2'. Correct "),
        (plain, (*FILES, "--levels", "[1,"), "stage: levels: Input should be a valid tuple. Correct "),
        (plain, (*FILES, "--table", "[[1, 2], [1]]"), "stage: table.1.1: Field required. Correct "),
        (two_models, (), "stage: network: Field required. Correct "),
        (refusing, ("--out", "a"), "case 7: slices are missing. Export them again."),
    ],
)
def test_a_fault_of_the_input_is_one_line(call, capsys, run, argv, message):
    assert call(run, *argv) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith(message)


def test_two_faults_of_the_settings_are_one_line(call, capsys):
    assert call(plain, *FILES, "--count", "x", "--share", "y") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "count: " in told
    assert "share: " in told


@pytest.mark.parametrize("run", [clashing, clashing_with_a_file])
def test_one_flag_for_two_things_is_a_defect(call, run):
    with pytest.raises(argparse.ArgumentError, match="conflicting option string"):
        call(run, "--help")


def test_a_type_that_no_flag_can_have_is_a_defect(call):
    with pytest.raises(TypeError, match="parameter 'on': the command line takes no <class 'complex'>"):
        call(unheard_of, "--on", "true")


def test_the_help_says_what_the_docstrings_and_descriptions_say(call, capsys):
    with pytest.raises(SystemExit) as ended:
        call(plain, "--help")
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Does it." in told
    assert "--out OUT The table, 100 % of it, written whole." in told
    assert "--count VALUE how many, at most 100 % (default: 3)" in told
    assert "--kind one|2 (default: one)" in told
    assert "--table VALUE (default: [[1, 1], [1, 2]])" in told


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m hipoa {command} ")


def test_the_overview_names_every_command(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {name} " in told for name in COMMANDS)
    assert main([]) == 2


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hipoa {hipoa.__version__}\n"


def test_an_unknown_command(capsys):
    assert main(["guess"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        'hipoa: "guess" is no command. Use one of: grade, read, readings, keep-folds, forget, plan, drr, '
    )
    assert told.count("\n") == 1


def test_the_exit_code_reaches_the_shell():
    told = subprocess.run(
        [sys.executable, "-m", "hipoa", "metrics", "--nothing"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["metrics", "--help"], ["compare", "--help"], ["hips", "--help"], ["folds", "--help"]],
)
def test_what_needs_no_torch_starts_without_it(argv):
    code = (
        "import sys\nfrom hipoa.cli import main\n"
        f"try:\n    main({argv!r})\nexcept SystemExit:\n    pass\n"
        "print(sorted(set(sys.modules) & {'torch', 'umap', 'matplotlib', 'snakemake'}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"


def test_an_interrupt_while_it_starts_is_one_line(monkeypatch, capsys):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("hipoa.cli.importlib.import_module", interrupt)
    assert main(["plan"]) == 130
    assert capsys.readouterr().err == "plan: interrupted\n"


def test_an_interrupt_is_one_line(monkeypatch, capsys):
    def run():
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "interrupted", SimpleNamespace(run=run))
    monkeypatch.setitem(COMMANDS, "plan", ("interrupted", "waits"))
    assert main(["plan"]) == 130
    assert capsys.readouterr().err == "plan: interrupted\n"
