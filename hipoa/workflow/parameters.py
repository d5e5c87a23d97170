"""What a rule gives its command: settings and files as flags, hashes of data and code."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hipoa.core.code_hash import code_hash
from hipoa.core.files import sha256
from hipoa.core.fingerprints import fingerprint, readings_fingerprint
from hipoa.workflow.config import HOME
from hipoa.workflow.stages import STAGES
from hipoa.workflow.study import Study

_TEMPLATES = (".html", ".css", ".js", ".rst")


def to_flags(section: Mapping[str, Any]) -> str:
    """Settings as command-line flags, quoted for a shell."""
    # With "=": a value such as -1e-05 would pass for a flag of its own.
    return shlex.join(
        f"--{name.replace('_', '-')}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in section.items()
    )


def file_flags(*files: Any) -> str:
    """A job's named inputs and outputs as flags of these names; unnamed files are left out."""
    named = [(name, value) for group in files for name, value in group.items()]
    return " ".join(
        shlex.join([f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else value)])
        for name, value in named
    )


def command(study: Study, stage: str, *more: str | Callable[[Any], str]) -> Callable[[Any], str]:
    """A stage's subcommand, settings and other flags, as Snakemake wants it: a function of the wildcards.

    Args:
        study: The study.
        stage: The stage.
        more: Other flags, wildcards in braces, or functions of the wildcards.
    """
    given = {name: study.config[name] for name in STAGES[stage].sections}
    settings = [to_flags(part if isinstance(part, dict) else {name: part}) for name, part in given.items()]

    def join(wildcards: Any) -> str:
        others = (
            part.format_map(vars(wildcards)) if isinstance(part, str) else part(wildcards) for part in more
        )
        return " ".join([stage, *settings, *others])

    return join


def pick(study: Study, section: str, *names: str) -> str:
    """Single settings of a section as flags."""
    return to_flags({name: study.config[section][name] for name in names})


def experiment_flags(study: Study, experiment: str) -> str:
    """An experiment's row and its pre-trained weights; what is checked on fetching them is left out."""
    row = study.config["experiments"][experiment].items()
    return f"{to_flags({name: value for name, value in row if name != 'weights_sha256'})} " + pretrained_flag(
        study, experiment
    )


def pretrained_flag(study: Study, experiment: str) -> str:
    """The file of an experiment's pre-trained weights, if it starts from any."""
    return " ".join(f"--pretrained {path}" for path in study.weight_files(experiment))


def weights_flags(study: Study, network: str) -> str:
    """Where the weights of a network come from, and the first hash that an experiment names for them."""
    rows = (row for row in study.config["experiments"].values() if row["network"] == network)
    expected = next((row["weights_sha256"] for row in rows if row["weights_sha256"]), "")
    return to_flags({"source": study.pretrained()[network], "sha256": expected})


def phantom_flags(study: Study, shard: str) -> str:
    """A shard of the built-in cohort."""
    return f"--shard {shard.removeprefix('phantom')} --shards {study.config['data']['shards']}"


def cases_flags(study: Study, cohort: str, shard: str) -> str:
    """The tables of a shard's cases, for `project` and `view`."""
    if study.is_builtin(shard):
        (table,) = study.paths("phantom", cohort=cohort, shard=shard)
        return shlex.join(["--cases", table, "--shards", "0"])
    data = study.config["data"]
    grades = ["--grades", data["grades"]] if data["grades"] else []
    return shlex.join(["--cases", data["cases"], *grades, "--shard", shard, "--shards", str(data["shards"])])


def ct_flags(study: Study) -> list[str | Callable[[Any], str]]:
    """The flags that `project` and `view` share."""
    return [
        f"--cohort {{cohort}} --study {study.config['study']}",
        lambda wildcards: cases_flags(study, wildcards.cohort, wildcards.shard),
    ]


def reading_flags(study: Study, threads: int) -> str:
    """How CTs are read, which changes no result."""
    return f"--readers {threads} --read-timeout-s {study.config['data']['read_timeout_s']}"


def grade_tables(study: Study, **wanted: str) -> list[str]:
    """The tables of grades of the built-in cohort, of some of its shards alone as in `Study.paths`."""
    return study.paths("phantom", "phantom/{cohort}/{shard}.grades.csv", **wanted)


def grades_flag(study: Study, cohort: str) -> str:
    """All tables with grades of a cohort, for `hips`; the user's own is of no use to the pool."""
    own = study.cohorts.get(cohort) and study.readings and cohort != "pool"
    tables = [*grade_tables(study, cohort=cohort), *([study.config["data"]["grades"]] if own else [])]
    return shlex.join(["--grades", *tables])


def readings_flags(study: Study) -> str:
    """All tables of readings, and the log of the reading page."""
    own = [study.config["data"]["grades"]] if study.readings else []
    return shlex.join(["--grades", *grade_tables(study), *own, "--log", str(_find_log(study))])


def _find_log(study: Study) -> Path:
    return Path(study.history, "readings.jsonl")


def simulate_flags(study: Study) -> str:
    """The settings of triage and of an experiment that the simulation uses.

    No more: another triage budget must not simulate again.
    """
    experiment = study.simulated_experiment
    row = study.config["experiments"][experiment]
    network = to_flags({name: row[name] for name in ("network", "input_px")})
    own = pick(study, "triage", "measure", "diversity")
    return f"{own} {network} {pretrained_flag(study, experiment)}"


def cases_fingerprint(study: Study, cohort: str, shard: str) -> str:
    """A hash that changes when a case of this shard, or a file of it, is another."""
    if study.is_builtin(shard):
        return ""
    data = study.config["data"]
    folder = Path(data["cases"]).parent
    return fingerprint(study.own_shards[cohort][shard], folder, look=data["watch_files"])


def grades_fingerprint(study: Study, cohort: str) -> str:
    """A hash that changes when a reading of a case of this cohort is another."""
    return readings_fingerprint(study.readings, study.cohorts.get(cohort, []))


def readings_hash(study: Study) -> str:
    """A hash that changes when any reading is another, in the user's table or in the log."""
    log = _find_log(study)
    return f"{readings_fingerprint(study.readings, study.cases)} {sha256(log) if log.is_file() else ''}"


def stage_code(stage: str) -> str:
    """A hash of the code of a stage, of the report's templates too; 16 hexadecimal digits."""
    found = code_hash(STAGES[stage].module)
    return f"{found} {_hash_templates()}" if stage == "report" else found


def _hash_templates() -> str:
    folder = HOME / "hipoa/report"
    files = sorted(path for path in folder.rglob("*") if path.suffix in _TEMPLATES)
    named = (path.relative_to(folder).as_posix().encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"".join(named)).hexdigest()[:16]


def training_hash(study: Study) -> str:
    """A hash of the settings and the code that models depend on, grades and data left out."""
    sections = ("experiments", "repeats", "seed", "project", "develop", "hips", "folds", "train", "predict")
    made_by = [study.config[section] for section in sections]
    made_by += [stage_code(stage) for stage in ("project", "develop", "hips", "train", "predict")]
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]


def record(study: Study) -> str:
    """The configuration and the hashes of the code as JSON, for the report."""
    code = {stage: stage_code(stage) for stage in STAGES}
    return json.dumps({**study.config, "code": code}, sort_keys=True, ensure_ascii=False)


def config_flag(study: Study) -> str:
    """The same as a flag, which names a file that the shell provides."""
    return f"--config <(printf '%s' {shlex.quote(record(study))})"
