"""The configuration: the rooms' settings composed, and the JSON schema that the workflow checks with."""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hipoa.core.files import write_text
from hipoa.core.settings import Settings
from hipoa.evaluation.settings import (
    BootstrapSettings,
    CalibrateSettings,
    CompareSettings,
    ConformSettings,
    EmbedSettings,
    ExplainSettings,
    MetricsSettings,
    UncertaintySettings,
)
from hipoa.grading.settings import (
    Experiment,
    FoldsSettings,
    HipsSettings,
    PredictSettings,
    TrainSettings,
)
from hipoa.imaging.settings import DevelopSettings, ProjectSettings, ViewSettings
from hipoa.phantom.settings import PhantomSettings
from hipoa.reading.settings import RoundsSettings
from hipoa.report.settings import FiguresSettings, ReportSettings
from hipoa.triage.settings import LabelErrorsSettings, SimulateSettings, TriageSettings

_PUBLISHED = """\
# The protocol of the source work, and the documented default of everything it is silent about.
# Every setting of hipoa stands here with its unit; config.yaml is laid over it.

experiments:
  vit:
    network: vit_base_patch16_224.augreg_in1k  # timm name and tag; all three saw ImageNet-1k alone
    weights: hub                               # hub, hub:REVISION, file:PATH, package:MODULE, none
    task: combined                             # the combined class 1-7, or separate: Crowe and KL
    loss: classification                       # classification, regression, ordinal
    input_px: 224                              # side of the network's input, pixels
  vgg:
    network: vgg16.tv_in1k
    weights: hub
    task: combined
    loss: classification
    input_px: 224
  densenet:
    network: densenet161.tv_in1k
    weights: hub
    task: combined
    loss: classification
    input_px: 224

repeats: 15       # repetitions of the cross-validation, a count
keep_models: all  # all; none: a model is removed once it has predicted (then a new CT must train it again)

reading: false  # make fine 16-bit views of each hip and of the pelvis, for a human reader
torch: cuda     # the PyTorch that --use-conda installs: cuda (3 GB, runs without a GPU too) or cpu (small)
"""

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
        False, description="take the built-in synthetic cohort, alone or beside own data"
    )
    shards: int = Field(
        4,
        ge=1,
        le=10_000,
        description="parts that a cohort's CTs are worked in; keep it once CTs were projected",
    )
    watch_files: bool = Field(
        True,
        description="notice a replaced CT by size, time and parts of its content; off for slow file systems",
    )
    read_timeout_s: float = Field(
        900,
        ge=1,
        description="how long reading a CT and finding its hips may take before the CT is refused, s",
    )


class PoolSettings(Settings):
    """How much work unread CTs are worth: every model that predicts them costs the same again."""

    experiments: Literal["triage", "all"] = Field(
        "triage", description="predict the pool with the experiment that ranks it for reading, or with all"
    )
    repeats: int | None = Field(
        1, ge=1, description="repeats whose models predict the pool, a count; null for all"
    )


class Config(Settings):
    """Everything that a user can set."""

    study: Name = Field("demo", description="name of the study and of its folder in results/")
    preset: Name = Field("demo", description="file in workflow/presets that fills all that is left out")
    data: DataSettings = _section(DataSettings)
    experiments: dict[Name, Experiment | None] = Field(
        default_factory=dict, description="networks to train, by name; null leaves one of the preset's out"
    )
    repeats: int = Field(1, ge=1, le=1000, description="repetitions of the cross-validation, a count")
    keep_models: Literal["all", "none"] = Field(
        "all", description="all; none: a model is removed once it has predicted every cohort"
    )
    reading: bool = Field(
        False, description="make fine 16-bit views of each hip and of the pelvis, for a human reader"
    )
    torch: Literal["cuda", "cpu"] = Field(
        "cuda",
        description="the PyTorch that --use-conda installs: cuda (runs without a GPU too) or cpu (small)",
    )
    phantom: PhantomSettings = _section(PhantomSettings)
    project: ProjectSettings = _section(ProjectSettings)
    develop: DevelopSettings = _section(DevelopSettings)
    view: ViewSettings = _section(ViewSettings)
    hips: HipsSettings = _section(HipsSettings)
    folds: FoldsSettings = _section(FoldsSettings)
    train: TrainSettings = _section(TrainSettings)
    predict: PredictSettings = _section(PredictSettings)
    pool: PoolSettings = _section(PoolSettings)
    uncertainty: UncertaintySettings = _section(UncertaintySettings)
    bootstrap: BootstrapSettings = _section(BootstrapSettings)
    metrics: MetricsSettings = _section(MetricsSettings)
    compare: CompareSettings = _section(CompareSettings)
    calibrate: CalibrateSettings = _section(CalibrateSettings)
    conform: ConformSettings = _section(ConformSettings)
    embed: EmbedSettings = _section(EmbedSettings)
    explain: ExplainSettings = _section(ExplainSettings)
    triage: TriageSettings = _section(TriageSettings)
    label_errors: LabelErrorsSettings = _section(LabelErrorsSettings)
    simulate: SimulateSettings = _section(SimulateSettings)
    rounds: RoundsSettings = _section(RoundsSettings)
    figures: FiguresSettings = _section(FiguresSettings)
    report: ReportSettings = _section(ReportSettings)


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml."""
    content = Config.model_json_schema()
    # Pydantic refuses a badly named experiment, its schema does not say so.
    content["properties"]["experiments"]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}


def preset() -> str:
    """The published preset: every setting at its default, with its description and unit, as YAML."""
    lines = [_PUBLISHED]
    for section, part in Config.model_fields.items():
        if inspect.isclass(part.annotation) and issubclass(part.annotation, Settings) and section != "data":
            lines.append(f"{section}:")
            for name, setting in part.annotation.model_fields.items():
                lines += [f"  # {line}" for line in textwrap.wrap(setting.description or "", 104)]
                lines.append(f"  {name}: {json.dumps(setting.default, ensure_ascii=False)}")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def run(*, out: Path | None = None, published: Path | None = None) -> None:
    """Prints the JSON schema of the configuration, or writes it to a file.

    Args:
        out: The file of the schema.
        published: The file of the published preset, which is written too.
    """
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(out, text)
    if published is not None:
        write_text(published, preset())
