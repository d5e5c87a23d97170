"""The configuration: the settings of all rooms as one model, and its checks."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from hipoa.core.errors import ConfigError
from hipoa.core.settings import Settings
from hipoa.evaluation.settings import (
    CompareSettings,
    ConformSettings,
    EmbedSettings,
    ExplainSettings,
    MetricsSettings,
    UncertaintySettings,
)
from hipoa.grading.settings import Experiment, FoldsSettings, HipsSettings, PredictSettings, TrainSettings
from hipoa.imaging.settings import DevelopSettings, ProjectSettings
from hipoa.phantom.settings import PhantomSettings
from hipoa.report.settings import ReportSettings
from hipoa.triage.settings import LabelErrorsSettings, SimulateSettings, TriageSettings

HOME = Path(__file__).resolve().parents[2]
"""The folder of the Snakefile, of `workflow/` and of the package."""

_GONE = "was removed; "
_SEED = "is now the setting seed, one for the whole study"
OLD_NAMES: dict[str, str] = {
    "bootstrap": _GONE + "intervals are not resampled, they follow from a formula",
    "calibrate": _GONE + "reliability diagrams have 10 bins",
    "compare.star_levels": _GONE + "stars are given below 0.05, 0.01 and 0.001",
    "doubts": "is now called label_errors",
    "figures": _GONE + "PNG figures have 150 pixels per inch; the SVG beside each has no resolution",
    "rounds": _GONE + "the first 20 hips of the list are followed",
    "view": _GONE + "views show 200 mm about a hip and 400 mm about the pelvis",
    "embed.embed_seed": _GONE + "the same features give the same map",
    "embed.min_dist": _GONE + "the value is 0.1, the default of UMAP",
    "embed.n_neighbors": _GONE + "the value is 15, the default of UMAP, and fewer in a small fold",
    "folds.folds_seed": _SEED,
    "label_errors.doubt_by": "is now called label_errors.rank_by",
    "phantom.external_noise_hu": _GONE + "the value is 20 HU",
    "phantom.external_spacing_mm": _GONE + "the value is phantom.spacing_mm, with slices of at least 3 mm",
    "phantom.feet_first_share": _GONE + "the value is 0.15",
    "phantom.hip_correlation": _GONE + "the value is 0.6",
    "phantom.noise_hu": _GONE + "the value is 9 HU",
    "phantom.prone_share": _GONE + "the value is 0.05",
    "predict.predict_seed": _SEED,
    "project.implant_hu": _GONE + "metal is 2500 HU and more",
    "project.implant_volume_mm3": _GONE + "an implant is 200 mm3 of metal and more",
    "project.renderer=joseph": "is now called joseph_cpu",
    "report.doubt_rows": _GONE + "20 labels are listed, label_errors.csv has all",
    "report.gallery_rows": _GONE + "a gallery shows 12 hips",
    "report.reason_rows": _GONE + "100 hips are listed, the tables of hips have all",
    "report.triage_rows": _GONE + "50 hips are listed, triage.csv has all",
    "simulate.first_share": _GONE + "a tenth of the patients is read first",
    "simulate.head_decay": _GONE + "the value is 0.01",
    "simulate.head_dimensions": _GONE + "64 principal axes are used",
    "simulate.head_dropout": _GONE + "the value is 0.25",
    "simulate.head_passes": _GONE + "50 passes are made",
    "simulate.head_steps": _GONE + "200 steps are made",
    "simulate.least_test_patients": _GONE + "10 graded external patients are the test set",
    "simulate.simulate_seed": _GONE + "the same data give the same simulation",
    "train.brightness": "is now train.brightness_contrast, the same for both",
    "train.checkpoint_minutes": _GONE + "a checkpoint is written every 5 minutes",
    "train.clip_norm": _GONE + "the norm of the gradient is at most 1",
    "train.contrast": "is now train.brightness_contrast, the same for both",
    "train.hole_share": _GONE + "the value is 0.1",
    "train.ordinal_sharpness": _GONE + "the value is 2",
    "train.train_seed": _SEED,
    "triage.largest_turn_deg": _GONE + "the value is 20 degrees; triage.set_aside_poor turns it off",
    "triage.least_confidence": _GONE + "the value is 0.6; triage.set_aside_poor turns it off",
    "triage.most_cuts": _GONE + "the value is 1; triage.set_aside_poor turns it off",
    "triage.set_aside_implants": "is now hips.leave_out_implants, which keeps such hips from training and "
    "scoring too; [] keeps all hips",
    "triage.set_level": _GONE + "triage.csv gives the size of the 90 % sets",
}
"""Former settings by dotted path (``*`` for an experiment's name) or ``path=value``, and the advice.

The message is the path, a colon and this text.
"""

_NOT_FOR_RESULTS = (
    "The preset {name} is not for results: unless config.yaml says otherwise, {reason}. For results set "
    "preset: published."
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]


def _section(model: type[Settings]) -> Any:
    return Field(default_factory=lambda: model.model_validate({}))


class DataSettings(Settings):
    """The user's own tables and the built-in cohort."""

    cases: str = Field(
        "", description="table of CTs, a path relative to the working folder; FILE#SHEET for a sheet"
    )
    grades: str = Field("", description="table of readings, likewise; empty for none")
    builtin_cohort: bool = Field(
        False, description="use the built-in synthetic cohort, alone or together with your own data"
    )
    shards: int = Field(
        4,
        ge=1,
        le=10_000,
        description="number of parts in which a cohort's CTs are processed; keep it once CTs are projected",
    )
    folds: str = Field(
        "",
        description="folder with the folds of an earlier run (r0.csv and so on), which its patients keep; "
        "empty: history/STUDY/folds, where the commands readings and keep-folds put them, if it exists",
    )
    watch_files: bool = Field(
        True,
        description="notice a replaced CT by its size, time and samples of its content; turn off "
        "for slow file systems",
    )
    read_timeout_s: float = Field(
        900,
        ge=1,
        description="how long reading a CT and finding its hips may take before the CT is refused, s",
    )


class PoolSettings(Settings):
    """How many models predict the unread CTs: the cost grows with their number."""

    experiments: Literal["triage", "all"] = Field(
        "triage", description="predict the pool with the experiment that ranks it for reading, or with all"
    )
    repeats: int | None = Field(
        1, ge=1, description="number of repeats whose models predict the pool; null for all"
    )


class Config(Settings):
    """Everything that a user can set."""

    study: Name = Field("demo", description="name of the study and of its folder in results/")
    preset: Name = Field(
        "demo", description="file in workflow/presets that gives every setting left out here"
    )
    data: DataSettings = _section(DataSettings)
    experiments: dict[Name, Experiment | None] = Field(
        default_factory=dict, description="networks to train, by name; null leaves one of the preset's out"
    )
    repeats: int = Field(1, ge=1, le=1000, description="repetitions of the cross-validation")
    seed: int = Field(
        0,
        ge=0,
        description="seed of the study: another seed gives other folds, initial weights and dropout passes",
    )
    keep_models: Literal["all", "none"] = Field(
        "all", description="all; none: a model is removed once it has predicted every cohort"
    )
    reading: bool = Field(
        False, description="make high-resolution 16-bit views of each hip and of the pelvis for human readers"
    )
    torch: Literal["cuda", "cpu"] = Field(
        "cuda",
        description="the PyTorch that --use-conda installs: cuda (runs without a GPU too) or cpu (small)",
    )
    # What is changed most often comes first, in the published preset too.
    develop: DevelopSettings = _section(DevelopSettings)
    folds: FoldsSettings = _section(FoldsSettings)
    predict: PredictSettings = _section(PredictSettings)
    train: TrainSettings = _section(TrainSettings)
    triage: TriageSettings = _section(TriageSettings)
    hips: HipsSettings = _section(HipsSettings)
    project: ProjectSettings = _section(ProjectSettings)
    pool: PoolSettings = _section(PoolSettings)
    uncertainty: UncertaintySettings = _section(UncertaintySettings)
    compare: CompareSettings = _section(CompareSettings)
    metrics: MetricsSettings = _section(MetricsSettings)
    conform: ConformSettings = _section(ConformSettings)
    embed: EmbedSettings = _section(EmbedSettings)
    explain: ExplainSettings = _section(ExplainSettings)
    label_errors: LabelErrorsSettings = _section(LabelErrorsSettings)
    simulate: SimulateSettings = _section(SimulateSettings)
    report: ReportSettings = _section(ReportSettings)
    phantom: PhantomSettings = _section(PhantomSettings)


def resolve(given: Mapping[str, Any], home: Path = HOME) -> dict[str, Any]:
    """The configuration: the user's settings over the named preset over the defaults.

    Beside the settings it holds ``not_for_results``, a sentence where the preset's file says by a key of this
    name why what it sets is not for results; else empty. It is no setting: nobody can turn it off.

    Args:
        given: The user's settings, ``preset`` among them.
        home: The folder in which ``workflow/presets`` lies.

    Raises:
        ConfigError: An unknown preset, or settings that are refused, all of them by dotted path.
    """
    import yaml

    presets = {path.stem: path for path in sorted((home / "workflow/presets").glob("*.yaml"))}
    name = given.get("preset")
    if name not in presets:
        raise ConfigError("preset", f'"{name}" is no preset', f"Use one of: {', '.join(presets)}.")
    below = yaml.safe_load(presets[name].read_text(encoding="utf-8"))
    reason = below.pop("not_for_results", "")
    merged = _merge(below, given)
    try:
        # As JSON, in which a list from YAML may be a tuple of the model.
        config = Config.model_validate_json(json.dumps(merged, default=str))
    except ValidationError as error:
        faults = dict.fromkeys(_describe(fault) for fault in error.errors())
        raise ConfigError(
            "configuration", "; ".join(faults), "Correct these settings and start again."
        ) from None
    resolved = config.model_dump(mode="json")
    resolved["experiments"] = {name: row for name, row in resolved["experiments"].items() if row is not None}
    resolved["not_for_results"] = _NOT_FOR_RESULTS.format(name=name, reason=reason) if reason else ""
    return resolved


def _merge(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _merge(below.get(key), value) for key, value in above.items()}}


def _describe(fault: Any) -> str:
    """One of pydantic's findings, with the setting that was probably meant."""
    *parents, name = map(str, fault["loc"])
    path, given = ".".join([*parents, name]), fault["input"]
    general = ".".join(["experiments", "*", *parents[2:], name]) if parents[:1] == ["experiments"] else path
    for former in (general, f"{general}={given}"):
        if former in OLD_NAMES:
            return f"{path}: {OLD_NAMES[former]}"
    if fault["type"] == "extra_forbidden":
        return f"{path}: there is no such setting{_suggest(name, _list_settings(parents), parents)}"
    if name == "[key]":
        return f'{".".join(parents)}: a name has at most 40 letters, digits, "_" and "-"'
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{path}: {message}"
    words = (
        fault["ctx"]["expected"].replace("'", "").split(" or ") if fault["type"] == "literal_error" else []
    )
    known = [word for part in words for word in part.split(", ")]
    return f"{path}: {message[0].lower()}{message[1:]}, not {given!r}{_suggest(str(given), known)}"


def _list_settings(path: list[str]) -> Iterable[str]:
    """The settings of a section of the configuration, or of an experiment."""
    if not path:
        return Config.model_fields
    section = Experiment if path[0] == "experiments" else Config.model_fields[path[0]].annotation
    return getattr(section, "model_fields", ())


def _suggest(word: str, known: Iterable[str], parents: Iterable[str] = ()) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {'.'.join([*parents, close[0]])}?)" if close else ""
