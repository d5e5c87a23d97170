"""The command line: ``python -m hipoa STAGE``, one subcommand per stage.

A stage's module is imported when it runs, so that stages without torch start without torch. Its
function ``run`` declares the command: a parameter typed with a :class:`Settings` model becomes one
flag per field, every other parameter a flag of its type (bool: a switch), with the docstring's words as help.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, NoReturn, get_args, get_origin, get_type_hints

from pydantic import ValidationError

import hipoa
from hipoa.core.errors import ConfigError, DiskError, HipoaError
from hipoa.core.settings import Settings, settings_error
from hipoa.workflow.stages import STAGES

COMMANDS = {
    "grade": ("hipoa.grade.grade", "grade one CT with the models of a finished study"),
    "read": ("hipoa.reading.read", "serve the page on which readers grade the listed hips"),
    "readings": ("hipoa.reading.readings", "derive a table of grades from the readings"),
    "keep-folds": ("hipoa.grading.data.persistent_folds", "keep the folds of a study for its next run"),
    "forget": ("hipoa.workflow.forget", "remove every trace of a case from a study"),
    "plan": (
        "hipoa.workflow.plan",
        "jobs, time, disk and memory of the configured study, and what it can show",
    ),
    "drr": ("hipoa.imaging.drr", "project one CT to two hip radiographs"),
    "cases": ("hipoa.cases.cases", "make a first table of cases from a PACS export"),
    **{name: (stage.module, stage.help) for name, stage in STAGES.items()},
    "summary": ("hipoa.workflow.summary", "cases, refusals, time and memory of a study"),
    "schema": ("hipoa.workflow.schema", "print the JSON schema of the configuration"),
}
"""Command to its module and what it does, in a few words."""

_KINDS = (str, int, float, bool, Path)


def main(argv: Sequence[str]) -> int:
    """Runs one command.

    Returns:
        0 on success, 2 when the input is at fault (one line on stderr), 130 when it was interrupted.
    """
    if not argv or argv[0] in {"-h", "--help"}:
        print(_overview())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"hipoa {hipoa.__version__}")
        return 0
    if argv[0] not in COMMANDS:
        print(f'hipoa: "{argv[0]}" is no command. Use one of: {", ".join(COMMANDS)}.', file=sys.stderr)
        return 2
    try:
        run = importlib.import_module(COMMANDS[argv[0]][0]).run
        run(**_arguments(argv[0], run, argv[1:]))
    except (HipoaError, DiskError) as error:
        # A cell or a name may hold a line break; a message stays one line.
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{argv[0]}: interrupted", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    """Reports a wrong flag in one line, like every other error of the input."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.rpartition(" ")[2]
        raise ConfigError(command, message, f"See {self.prog} --help.")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: python -m hipoa COMMAND ...   (COMMAND --help for its flags)", "", *lines])


def _arguments(command: str, run: Callable[..., None], argv: Sequence[str]) -> dict[str, Any]:
    text = inspect.getdoc(run) or ""
    summary = text.partition("\n\n")[0]
    parser = _Parser(f"python -m hipoa {command}", description=summary, allow_abbrev=False)
    hints = get_type_hints(run)
    parameters = inspect.signature(run).parameters
    for name, parameter in parameters.items():
        if _is_settings(hints[name]):
            _add_settings(parser, hints[name])
        else:
            _add_parameter(parser, parameter, hints[name], _describe(text, name))
    given = vars(parser.parse_args(argv))
    return {
        name: _settings(command, hints[name], given) if _is_settings(hints[name]) else given[name]
        for name in parameters
    }


def _is_settings(hint: Any) -> bool:
    return inspect.isclass(hint) and issubclass(hint, Settings)


def _describe(docstring: str, name: str) -> str:
    """What a Google docstring says of a parameter, in one line."""
    found = re.search(rf"^ +{name}: (.*(?:\n {{8,}}\S.*)*)", docstring, re.MULTILINE)
    return " ".join(found[1].split()).replace("`", "").replace("%", "%%") if found else ""


def _take_apart(name: str, hint: Any) -> tuple[type, bool]:
    """The type of one value, and whether a list of them is taken."""
    if NoneType in get_args(hint):
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    many = get_origin(hint) is list
    kind = get_args(hint)[0] if many else hint
    if kind not in _KINDS:
        raise TypeError(f"parameter {name!r}: the command line takes no {kind}")
    return kind, many


def _add_parameter(
    parser: argparse.ArgumentParser, parameter: inspect.Parameter, hint: Any, text: str
) -> None:
    kind, many = _take_apart(parameter.name, hint)
    if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        parser.add_argument(parameter.name, type=kind, help=text)
        return
    required = parameter.default is inspect.Parameter.empty
    if kind is bool:
        parser.add_argument(_flag(parameter.name), action="store_true", help=text)
        return
    parser.add_argument(
        _flag(parameter.name),
        type=kind,
        required=required,
        default=None if required else parameter.default,
        nargs="*" if many else None,
        help=text,
        metavar=parameter.name.upper(),
    )


def _add_settings(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    group = parser.add_argument_group(model.__name__)
    for name, field in model.model_fields.items():
        value = field.get_default(call_default_factory=True)
        # As it would be typed: a list as JSON.
        shown = value if value and isinstance(value, str) else json.dumps(value, default=str)
        default = "required" if field.is_required() else f"default: {shown}"
        text = f"{field.description or ''} ({default})".replace("%", "%%")
        words = [word for word in get_args(field.annotation) if isinstance(word, str)]
        metavar = "|".join(words) or "VALUE"
        group.add_argument(_flag(name), dest=name, default=argparse.SUPPRESS, help=text, metavar=metavar)


def _settings(command: str, model: type[Settings], given: dict[str, Any]) -> Settings:
    fields = model.model_fields.items()
    values = {name: _value(given[name], field.annotation) for name, field in fields if name in given}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise settings_error(command, error, "Correct the setting.") from None


def _value(text: str, kind: Any) -> Any:
    """A flag's value: JSON where it is any, but text where the setting takes text."""
    choices = [kind] if get_origin(kind) in (list, tuple, dict) else [kind, *get_args(kind)]
    if text == "null" and NoneType in choices:
        return None
    if any(choice is str or isinstance(choice, str) for choice in choices):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
