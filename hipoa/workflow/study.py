"""What the Snakefile knows: the resolved configuration, the cohorts and their shards, flags and hashes.

Standard library only (jsonschema and yaml come with Snakemake): a bare Snakemake imports this module,
and every job parses it again, so it does as little as it can.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hipoa.core.code_hash import code_hash
from hipoa.core.errors import ConfigError
from hipoa.core.fingerprints import fingerprint, readings_fingerprint
from hipoa.core.tables.rows import COHORTS, Case, Reading, assign_cohorts, shard_of
from hipoa.core.tables.study_tables import Tables, read_tables
from hipoa.grading.data.labels import LabelRule
from hipoa.grading.data.split_check import count_labelled, name_kept
from hipoa.phantom.cohort.members import count_patients, planned

HOME = Path(__file__).resolve().parents[2]
"""The folder of the Snakefile, of `workflow/` and of the package."""

STAGES = {
    "phantom": "hipoa.phantom.phantom",
    "project": "hipoa.imaging.project",
    "develop": "hipoa.imaging.develop",
    "view": "hipoa.imaging.view",
    "hips": "hipoa.grading.data.hips",
    "folds": "hipoa.grading.data.folds",
    "augment": "hipoa.grading.training.augment",
    "weights": "hipoa.grading.model.weights",
    "train": "hipoa.grading.training.train",
    "predict": "hipoa.grading.inference.predict",
    "uncertainty": "hipoa.evaluation.uncertainty",
    "metrics": "hipoa.evaluation.metrics.metrics",
    "compare": "hipoa.evaluation.comparison.compare",
    "calibrate": "hipoa.evaluation.calibration.calibrate",
    "detect": "hipoa.evaluation.detect",
    "conform": "hipoa.evaluation.conformal.conform",
    "embed": "hipoa.evaluation.embed",
    "explain": "hipoa.evaluation.explain",
    "triage": "hipoa.triage.triage",
    "label_errors": "hipoa.triage.label_errors",
    "simulate": "hipoa.triage.simulation.simulate",
    "rounds": "hipoa.reading.rounds",
    "figures": "hipoa.report.figures.figures",
    "report": "hipoa.report.report",
}
"""The rules, in the order of the flow, and the module behind each."""

_BUILTIN = "phantom"
_TEMPLATES = (".html", ".css", ".js", ".rst")


def resolve(given: Mapping[str, Any], home: Path = HOME) -> dict[str, Any]:
    """The configuration: the named preset, and the user's settings laid over it.

    Args:
        given: The user's settings, ``preset`` among them.
        home: Where ``workflow/presets`` and ``workflow/schemas`` lie.

    Raises:
        ConfigError: An unknown preset, or settings that the schema refuses, all of them by dotted path.
    """
    import yaml

    presets = {path.stem: path for path in sorted((home / "workflow/presets").glob("*.yaml"))}
    name = given.get("preset")
    if name not in presets:
        raise ConfigError("preset", f'"{name}" is no preset', f"Use one of: {', '.join(presets)}.")
    config = _lay_over(yaml.safe_load(presets[name].read_text(encoding="utf-8")), given)
    schema = json.loads((home / "workflow/schemas/config.schema.json").read_text(encoding="utf-8"))
    faults = sorted(set(_find_faults(config, schema)))
    if faults:
        raise ConfigError("configuration", "; ".join(faults), "Mend these and start again.")
    config = _fill_in(config, schema, schema)
    config["experiments"] = {name: row for name, row in config["experiments"].items() if row is not None}
    return config


def _lay_over(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    merged = {key: _lay_over(below[key], above[key]) if key in above else below[key] for key in below}
    return merged | {key: above[key] for key in above if key not in below}


def _fill_in(value: Any, part: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Adds the schema's defaults, so that a setting left out and its default are one and the same."""
    if "$ref" in part:
        return _fill_in(value, schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    if not isinstance(value, Mapping):
        return value
    for named in part.get("patternProperties", {}).values():  # names of the user's own, as of experiments
        row = next(kind for kind in named["anyOf"] if kind.get("type") != "null")
        return {name: _fill_in(item, row, schema) for name, item in value.items()}
    properties = part.get("properties", {}).items()
    return {
        name: _fill_in(value.get(name, prop.get("default", {})), prop, schema) for name, prop in properties
    }


def _find_faults(config: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    for error in _leaves(_import_validator()(schema).iter_errors(config)):
        path = [str(part) for part in error.absolute_path]
        if error.validator == "additionalProperties":
            yield from _find_unknown(path, error.instance, error.schema)
        else:
            where = ".".join(path) or "configuration"
            # One word of several: among them the renderer joseph, which is joseph_cpu now.
            hint = _suggest(str(error.instance), error.validator_value) if error.validator == "enum" else ""
            yield f"{where}: {error.message.replace(chr(10), ' ')}{hint}"


def _import_validator() -> Any:
    # What jsonschema loads for the syntax of web addresses takes a second, and every job of a cluster comes
    # by here; the schema knows no such format.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from jsonschema import Draft202012Validator

    return Draft202012Validator


def _find_unknown(path: list[str], given: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[str]:
    patterns = list(part.get("patternProperties", {}))
    known = list(part.get("properties", {}))
    for name in map(str, given):
        where = ".".join([*path, name])
        if patterns and not re.search(patterns[0], name):
            yield f'{where}: a name has at most 40 letters, digits, "_" and "-"'
        elif not patterns and name not in known:
            yield f"{where}: there is no such setting{_suggest(name, known, '.'.join([*path, '']))}"


def _suggest(word: str, known: Iterable[str], before: str = "") -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {before}{close[0]}?)" if close else ""


def _leaves(errors: Any) -> Iterator[Any]:
    # Of "none of the alternatives fits" the single alternatives' faults say what is wrong.
    for error in errors:
        deeper = [inner for inner in error.context or [] if inner.validator != "type"]
        yield from _leaves(deeper) if deeper else [error]


@dataclass(frozen=True)
class Study:
    """The cohorts, shards, models and paths of one configuration.

    Attributes:
        config: As `resolve` gives it.
        cases: The rows of cases.csv, if there is one.
        readings: The rows of grades.csv, if there is one.
        warnings: What the user should look at in them, a line each.

    Raises:
        ConfigError: There is no data, or nothing to train on.
        TableError: The tables cannot be used.
        CohortError: Patients with a grade do not suffice for the folds.
    """

    config: Mapping[str, Any]
    cases: Sequence[Case] = field(init=False)
    readings: Sequence[Reading] = field(init=False)
    warnings: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        cases, grades = self.config["data"]["cases"], self.config["data"]["grades"]
        if not cases and not self.config["data"]["builtin_cohort"]:
            raise ConfigError("data", "no table of cases and no built-in cohort", "Set data.cases.")
        tables = read_tables(Path(cases), Path(grades) if grades else None) if cases else Tables()
        for name in ("cases", "readings", "warnings"):
            object.__setattr__(self, name, getattr(tables, name))
        if not self.shards["labelled"]:
            raise self._say_nothing_is_graded()
        if not self.config["experiments"]:
            raise ConfigError("experiments", "there is none", "Name at least one experiment.")
        self._check_weights()
        self._check_split()

    def _say_nothing_is_graded(self) -> ConfigError:
        why, do = "no case is graded", "Name a table of grades."
        if self.readings:
            why, do = "every graded case is external", "Mark fewer patients as external, or grade others."
        elif self.config["data"]["grades"]:
            why, do = "the table of grades has no row", "Fill it in."
        return ConfigError("data.grades", f"{why}: there is nothing to learn from", do)

    def _check_split(self) -> None:
        """Refuses what the stages folds and train would refuse once every CT was read."""
        folds, seed = (self.config["folds"][name] for name in ("folds", "folds_seed"))
        builtin = [case for cases in self._builtin["labelled"].values() for case in cases]
        phantom = self.config["phantom"]
        patients = count_patients(phantom["population"], phantom)["labelled"] if builtin else 0
        labelled = count_labelled(
            self.cohorts.get("labelled", []),
            self.readings,
            self._label_rule,
            Path(self.config["data"]["grades"]).name or "folds",
            builtin=(patients, 2 * len(builtin)),
        )
        kept = any(Path(self.history, "folds").glob(name_kept(folds, seed, "*")))
        labelled.check_folds(folds, kept=kept)
        tasks = (row["task"] for row in self.config["experiments"].values())
        labelled.check_inner_folds(self.config["train"]["inner_folds"], folds, tasks)

    @property
    def _label_rule(self) -> LabelRule:
        hips = self.config["hips"]
        pairs = [tuple(pair) for pair in hips["class_table"]]
        return cast("LabelRule", SimpleNamespace(**{**hips, "class_table": pairs}))

    def _check_weights(self) -> None:
        sources: dict[str, str] = {}
        for row in self.config["experiments"].values():
            source = sources.setdefault(row["network"], row["weights"])
            if "none" not in (source, row["weights"]) and source != row["weights"]:
                raise ConfigError(
                    "experiments",
                    f'{row["network"]} has weights "{source}" here and "{row["weights"]}" there',
                    "Take pre-trained weights of a network from one source.",
                )
            if source == "none":
                sources[row["network"]] = row["weights"]

    @cached_property
    def cohorts(self) -> dict[str, list[Case]]:
        """The user's own cases by cohort."""
        return assign_cohorts(self.cases, self.readings) if self.cases else {}

    @cached_property
    def shards(self) -> dict[str, list[str]]:
        """The names of each cohort's shards; a cohort without cases has none."""
        return {cohort: [*self._own[cohort], *self._builtin[cohort]] for cohort in COHORTS}

    @cached_property
    def _own(self) -> dict[str, dict[str, list[Case]]]:
        """The user's own cases by cohort and shard; sorted once, for there may be 100 000."""
        sorted_in: dict[str, dict[str, list[Case]]] = {}
        for cohort in COHORTS:
            shards: dict[int, list[Case]] = {}
            for case in self.cohorts.get(cohort, []):
                shards.setdefault(shard_of(case.case_id, self.config["data"]["shards"]), []).append(case)
            sorted_in[cohort] = {str(shard): shards[shard] for shard in sorted(shards)}
        return sorted_in

    @cached_property
    def _builtin(self) -> dict[str, dict[str, list[str]]]:
        """The case ids of the built-in cohort by cohort and shard."""
        if not self.config["data"]["builtin_cohort"]:
            return {cohort: {} for cohort in COHORTS}
        population = self.config["phantom"]["population"]
        counts = count_patients(population, self.config["phantom"])
        made = planned(counts, self.config["data"]["shards"], population)
        return {
            cohort: {f"{_BUILTIN}{shard}": ids for shard, ids in made[cohort].items()} for cohort in COHORTS
        }

    def case_ids(self, cohort: str = "") -> set[str]:
        """The names of a cohort's cases, own and built-in, or of all."""
        names = [cohort] if cohort else COHORTS
        own = {case.case_id for name in names for case in self.cohorts.get(name, [])}
        return own.union(*(ids for name in names for ids in self._builtin[name].values()))

    def count_hips(self, cohort: str = "", shard: str = "") -> int:
        """Two of every CT, of a shard, of a cohort, or of all."""
        return 2 * sum(
            len(cases)
            for name in ([cohort] if cohort else COHORTS)
            for shards in (self._own[name], self._builtin[name])
            for cases in ([shards.get(shard, [])] if shard else shards.values())
        )

    @property
    def used_cohorts(self) -> list[str]:
        """The cohorts that have cases."""
        return [cohort for cohort, shards in self.shards.items() if shards]

    @property
    def results(self) -> str:
        """The folder of this study's results."""
        return f"results/{self.config['study']}"

    @property
    def history(self) -> str:
        """The folder of what no run can make again: readings, folds, rounds."""
        return f"history/{self.config['study']}"

    def flags(self, *sections: str) -> str:
        """Sections of the configuration as command-line flags."""
        return " ".join(to_flags(self.config[section]) for section in sections)

    def table_flags(self) -> str:
        """The class table as command-line flags, for stages that need no other setting of `hips`."""
        return to_flags({name: self.config["hips"][name] for name in ("class_table", "kl0_as_kl1")})

    def row_flags(self, experiment: str) -> str:
        """An experiment's row as flags; what is checked on fetching the weights trains nothing anew."""
        row = self.config["experiments"][experiment].items()
        return to_flags({name: value for name, value in row if name != "weights_sha256"})

    def weights_hash(self, network: str) -> str:
        """The hash that a network's file of weights must have, of the first experiment that names one."""
        rows = self.config["experiments"].values()
        hashes = (row["weights_sha256"] for row in rows if row["network"] == network)
        return next(filter(None, hashes), "")

    def is_builtin(self, shard: str) -> bool:
        """Whether a shard is of the built-in cohort."""
        return shard.startswith(_BUILTIN)

    @property
    def views(self) -> list[str]:
        """The tables of views for a human reader, where they are asked for."""
        shards = [(cohort, shard) for cohort in self.used_cohorts for shard in self.shards[cohort]]
        return [f"{self.results}/views/{c}/{s}.csv" for c, s in shards] if self.config["reading"] else []

    @property
    def ceilings(self) -> list[str]:
        """What is possible against the synthetic readings: one file per cohort that is read."""
        first = {cohort: next(filter(self.is_builtin, self.shards[cohort]), None) for cohort in COHORTS}
        return [
            f"{self.results}/phantom/{cohort}/{shard}.ceiling.json"
            for cohort, shard in first.items()
            if shard and cohort != "pool"
        ]

    @property
    def truths(self) -> list[str]:
        """What was measured of the synthetic hips that are read: one file per shard."""
        return [
            f"{self.results}/phantom/{cohort}/{shard}.truth.csv"
            for cohort in COHORTS
            for shard in filter(self.is_builtin, self.shards[cohort])
            if cohort != "pool"
        ]

    @property
    def class_flags(self) -> str:
        """What the combined classes are, as a flag."""
        return to_flags({"class_table": self.config["hips"]["class_table"]})

    def phantom_flags(self, shard: str) -> str:
        """Which shard of the built-in cohort is to be made, as flags."""
        return f"--shard {shard.removeprefix(_BUILTIN)} --shards {self.config['data']['shards']}"

    def source_flags(self, cohort: str, shard: str) -> str:
        """Where a shard's cases stand, as flags of `project`."""
        if self.is_builtin(shard):
            table = f"{self.results}/phantom/{cohort}/{shard}.cases.csv"
            return shlex.join(["--cases", table, "--shards", "0"])
        data = self.config["data"]
        grades = ["--grades", data["grades"]] if data["grades"] else []
        shards = ["--shard", shard, "--shards", str(data["shards"])]
        return shlex.join(["--cases", data["cases"], *grades, *shards])

    def cases_fingerprint(self, cohort: str, shard: str) -> str:
        """A hash that changes when a case of this shard, or a file of it, is another."""
        if self.is_builtin(shard):
            return ""
        data = self.config["data"]
        folder = Path(data["cases"]).parent
        return fingerprint(self._own[cohort][shard], folder, look=data["watch_files"])

    def grades_fingerprint(self, cohort: str) -> str:
        """A hash that changes when a reading of a case of this cohort is another."""
        return readings_fingerprint(self.readings, self.cohorts.get(cohort, []))

    def grades_flags(self, cohort: str) -> str:
        """The user's own table of grades as an argument of `hips`; the pool has none."""
        own = self.cohorts.get(cohort) and self.readings and cohort != "pool"
        return shlex.quote(self.config["data"]["grades"]) if own else ""

    def models(self, experiment: str) -> list[str]:
        """The names r{repeat}f{fold} of an experiment's models."""
        folds = range(self.config["folds"]["folds"])
        return [f"r{repeat}f{fold}" for repeat in range(self.config["repeats"]) for fold in folds]

    def prediction_files(self, experiment: str, cohorts: Iterable[str]) -> list[str]:
        """The files of an experiment's predictions for some cohorts; of the pool no more than was asked."""
        return [
            f"{self.results}/predictions/{experiment}/r{repeat}f{fold}/{cohort}.npz"
            for repeat in range(self.config["repeats"])
            for fold in range(self.config["folds"]["folds"])
            for cohort in cohorts
            if cohort != "pool" or repeat < self._pool_repeats(experiment)
        ]

    def feature_files(self) -> list[str]:
        """The predictions whose features are compared for the list of hips to read: one repeat's."""
        cohorts = [cohort for cohort in self.used_cohorts if cohort != "external"]
        first = f"{self.results}/predictions/{self._ranking_experiment}/r0f"
        files = self.prediction_files(self._ranking_experiment, cohorts)
        return [path for path in files if path.startswith(first)]

    @property
    def _ranking_experiment(self) -> str:
        return self.config["triage"]["experiment"] or next(iter(self.config["experiments"]))

    def predicted_cohorts(self, experiment: str) -> list[str]:
        """The cohorts of which an experiment predicts anything."""
        return [cohort for cohort in self.used_cohorts if self.prediction_files(experiment, [cohort])]

    def _pool_repeats(self, experiment: str) -> int:
        bounds, repeats = self.config["pool"], self.config["repeats"]
        if bounds["experiments"] == "triage" and experiment != self._ranking_experiment:
            return 0
        return repeats if bounds["repeats"] is None else min(repeats, bounds["repeats"])

    @property
    def simulated_experiment(self) -> str:
        """The experiment whose network gives the simulation its features: the first that is pre-trained."""
        experiments = self.config["experiments"]
        trained = (name for name, row in experiments.items() if row["weights"] != "none")
        return next(trained, next(iter(experiments)))

    def simulate_flags(self) -> str:
        """What the simulation needs of triage and of its experiment.

        No more: another budget of the list must not simulate again.
        """
        row = self.config["experiments"][self.simulated_experiment]
        own = {name: self.config["triage"][name] for name in ("measure", "diversity")}
        return to_flags(own | {name: row[name] for name in ("network", "input_px")})

    @property
    def explanations(self) -> list[str]:
        """The maps of where the networks looked; none without kept models, which would be trained again."""
        wanted = self.config["keep_models"] == "all" and self.config["explain"]["explained_hips"]
        names = self.config["experiments"] if wanted else {}
        return [f"{self.results}/explanations/{experiment}.npz" for experiment in names]

    def explaining_models(self, experiment: str, suffix: str) -> list[str]:
        """The files of an experiment's models of the first repeat, which graded every labelled hip once."""
        folds = range(self.config["folds"]["folds"])
        return [f"{self.results}/models/{experiment}/r0f{fold}{suffix}" for fold in folds]

    def weight_files(self, experiment: str) -> list[str]:
        """The file of an experiment's pre-trained weights, if it starts from any."""
        row = self.config["experiments"][experiment]
        return [f"{self.results}/weights/{row['network']}.safetensors"] if row["weights"] != "none" else []

    def pretrained_flags(self, experiment: str) -> str:
        """The same as a flag of `train`."""
        return " ".join(f"--pretrained {path}" for path in self.weight_files(experiment))

    def record(self) -> str:
        """The configuration and the hashes of the code as JSON, for the report."""
        code = {stage: stage_code(stage) for stage in STAGES}
        return json.dumps({**self.config, "code": code}, sort_keys=True, ensure_ascii=False)

    def setup_hash(self) -> str:
        """A hash of the settings and the code that make models what they are, grades and data left out."""
        import hashlib

        sections = ("experiments", "repeats", "project", "develop", "hips", "folds", "train", "predict")
        made_by = [self.config[section] for section in sections]
        made_by += [stage_code(stage) for stage in ("project", "develop", "hips", "train", "predict")]
        return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]

    def pretrained(self) -> dict[str, str]:
        """The networks whose weights are fetched, and from where."""
        rows = self.config["experiments"].values()
        return {row["network"]: row["weights"] for row in rows if row["weights"] != "none"}


def to_flags(section: Mapping[str, Any]) -> str:
    """Settings as command-line flags, quoted for a shell."""
    # With "=": a value such as -1e-05 would pass for a flag of its own.
    return shlex.join(
        f"--{name.replace('_', '-')}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in section.items()
    )


def stage_code(stage: str) -> str:
    """A hash of the code of a stage, of the report's templates too; 16 hexadecimal digits."""
    module = STAGES[stage]
    return code_hash(module) if stage != "report" else f"{code_hash(module)} {_templates_hash()}"


def _templates_hash() -> str:
    import hashlib

    folder = Path(__file__).parents[1] / "report"
    files = sorted(path for path in folder.rglob("*") if path.suffix in _TEMPLATES)
    named = (path.relative_to(folder).as_posix().encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"".join(named)).hexdigest()[:16]


_SEEN = {
    "MTIME": "files that were made anew",
    "PARAMS": "changed settings, grades, CTs and code",
    "INPUT": "cases that came or left",
    "SOFTWARE_ENV": "changed environments",
    "CODE": "changed rules",
}


def find_unseen(triggers: Iterable[str]) -> str:
    """What a run will not notice, as a warning; "" if nothing.

    Args:
        triggers: Of Snakemake's ``--rerun-triggers``, by the names of its enumeration.
    """
    given = set(triggers)
    unseen = [what for trigger, what in _SEEN.items() if trigger not in given]
    if not unseen:
        return ""
    return (
        f"warning: with these --rerun-triggers a run does not see {', '.join(unseen)}: results may be old. "
        "Leave the option out, also of profiles."
    )


def announce(given: Mapping[str, Any], home: Path) -> None:
    """Prints what the configured study will cost, and ends the workflow where it cannot be.

    Args:
        given: The user's settings, as for `resolve`.
        home: The folder in which the package lies.
    """
    import os
    import subprocess

    command = [sys.executable, "-m", "hipoa", "plan", "--steps", "0", "--config", "/dev/stdin"]
    environment = {**os.environ, "PYTHONPATH": str(home)}
    done = subprocess.run(command, input=json.dumps(given), env=environment, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)


_SAY_WHY = 'say_why() {{ local status=$?; tail -n 3 "$1" >&2; return $status; }};'
"""A failed job says its last words on the screen; the whole story is in its log."""


def shell_prefix(home: Path = HOME, python: Path | None = None) -> str:
    """What every job's shell runs first: strict mode, and this very package on the path.

    Args:
        home: The folder in which the package lies.
        python: The interpreter that runs Snakemake, which then runs the jobs too, whether or not its
            environment is activated; None where jobs have an environment of their own.
    """
    words = ["set -euo pipefail;", _SAY_WHY, f"export PYTHONPATH={_quote(home)};"]
    words += [f'export PATH={_quote(python.parent)}:"$PATH";'] if python else []
    return " ".join(words) + " "


def _quote(path: Path) -> str:
    # Snakemake formats the prefix like a command: its braces are doubled.
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


def pattern(names: list[str]) -> str:
    """A wildcard constraint that admits these names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"
