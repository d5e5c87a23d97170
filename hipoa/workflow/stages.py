"""The stages of the workflow: each one's module, result files, settings, and needs of memory and time.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """What one job asks a machine for, measured on a CPU and rounded up, and how long it should take."""

    mb: int = 1000  # memory whatever the number of hips, MB; libraries with torch take 800 of it
    minutes: int = 60  # time whatever the number of hips
    mb_per_1000: int = 60  # memory for every 1000 hips, MB
    minutes_per_1000: int = 0  # time for every 1000 hips
    mb_per_thread: int = 0  # memory for every thread, MB
    cohort: str = ""  # the cohort whose hips count; empty for those that the job's wildcards name
    # Processor time on the reference machine (`hipoa.workflow.durations`) whatever the number of hips, most
    # of it for loading libraries. Training and prediction take more, by their networks.
    seconds: float = 0.8
    seconds_per_hip: float = 0.0  # for every hip


@dataclass(frozen=True)
class Stage:
    """One rule of the workflow, which is a subcommand of the same name.

    Paths are relative to the study's folder of results; wildcards stand in braces.
    """

    module: str  # whose function ``run`` does the work
    help: str  # what it does, in a few words
    outputs: tuple[str, ...]  # files that a finished study has: what is missing of them is made again
    # Patterns of the files that it reads, as the manifest names them; of the evaluation and after.
    inputs: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()  # of the configuration, or settings outside them, which are its flags
    other_sections: tuple[str, ...] = ()  # those of which it gets single settings
    need: Need = Need()  # of memory and time

    @property
    def wildcards(self) -> list[str]:
        """The wildcards of its jobs, in the order in which they stand in a path."""
        return re.findall(r"\{(\w+)\}", self.outputs[0])

    @property
    def folder(self) -> str:
        """The folder of its files, where it has one of its own, else an empty text."""
        return self.outputs[0].rpartition("/")[0].partition("/")[0]


_UNCERTAINTY, _HIPS, _MODELS = "uncertainty/*.csv", "hips/*.csv", "models/*/*.json"
_GRADED = tuple(f"hips/{cohort}.{kind}" for cohort in ("labelled", "external") for kind in ("csv", "npz"))
_SHOWN = (_HIPS, "hips/*.npz", _UNCERTAINTY, _MODELS)
_DRAWN = (
    *("metrics.csv", "compare.csv", "embedding.csv", "reliability.csv", "risk_coverage.csv"),
    *("decision.csv", "simulation.csv", "differences.csv", "subgroups.csv"),
)

STAGES = {
    "phantom": Stage(
        "hipoa.phantom.phantom",
        "make synthetic CTs with known grades",
        ("phantom/{cohort}/{shard}.cases.csv",),
        sections=("phantom",),
        need=Need(minutes=30, mb_per_1000=0, minutes_per_1000=200, seconds=1.6, seconds_per_hip=0.8),
    ),
    "project": Stage(
        "hipoa.imaging.project",
        "project CTs to line integrals about the hip centres",
        ("projections/{cohort}/{shard}.csv",),
        sections=("project",),
        need=Need(
            mb_per_1000=800, minutes_per_1000=120, mb_per_thread=1500, seconds=1.8, seconds_per_hip=0.25
        ),
    ),
    "develop": Stage(
        "hipoa.imaging.develop",
        "turn line integrals into radiographs of 150 x 150 pixels",
        ("radiographs/{cohort}/{shard}.csv",),
        sections=("develop",),
        need=Need(500, 20, mb_per_1000=500, minutes_per_1000=10, seconds=0.3, seconds_per_hip=0.005),
    ),
    "view": Stage(
        "hipoa.imaging.view",
        "make 16-bit views of hips and pelvis for readers",
        ("views/{cohort}/{shard}.csv",),
        sections=("project",),
        need=Need(mb_per_1000=0, minutes_per_1000=120, mb_per_thread=1500, seconds=1.8, seconds_per_hip=0.5),
    ),
    "hips": Stage(
        "hipoa.grading.data.hips",
        "join the hips of a cohort with their grades",
        ("hips/{cohort}.csv", "hips/{cohort}.npz"),
        sections=("hips",),
        need=Need(500, 20, seconds=0.3),
    ),
    "folds": Stage(
        "hipoa.grading.data.folds",
        "assign patients to folds, stratified by grade",
        ("folds/r{repeat}.csv",),
        sections=("folds", "seed"),
        need=Need(minutes=10, mb_per_1000=20, cohort="labelled", seconds=1.2),
    ),
    "augment": Stage(
        "hipoa.grading.training.augment",
        "render samples of the augmentation",
        ("augmentation.npz",),
        sections=("train", "seed"),
        need=Need(2000, 20, cohort="labelled", seconds=3.9),
    ),
    "weights": Stage(
        "hipoa.grading.model.weights",
        "fetch pre-trained weights",
        ("weights/{network}.json",),
        need=Need(4000, mb_per_1000=0, seconds=4.5),
    ),
    "train": Stage(
        "hipoa.grading.training.train",
        "train one network on one fold",
        ("models/{experiment}/r{repeat}f{fold}.json",),
        sections=("train", "seed"),
        need=Need(2500, 240, mb_per_1000=250, cohort="labelled", seconds=4.2),
    ),
    "predict": Stage(
        "hipoa.grading.inference.predict",
        "predict a cohort with Monte Carlo dropout",
        ("predictions/{experiment}/r{repeat}f{fold}/{cohort}.npz",),
        sections=("predict", "seed"),
        need=Need(2500, minutes_per_1000=10, seconds=3.9),
    ),
    "uncertainty": Stage(
        "hipoa.evaluation.uncertainty",
        "compute the predicted class and uncertainty of each hip",
        ("uncertainty/{experiment}.csv",),
        # The predictions are too large to be hashed: the records tell the models that made them.
        (_HIPS, _MODELS),
        ("uncertainty",),
        need=Need(minutes=30),
    ),
    "metrics": Stage(
        "hipoa.evaluation.metrics.metrics",
        "compute accuracy and other scores, with intervals",
        ("metrics.csv", "confusion.csv", "subgroups.csv"),
        (_UNCERTAINTY, _HIPS, "phantom/*/*.truth.csv"),
        ("metrics",),
        ("hips",),
    ),
    "compare": Stage(
        "hipoa.evaluation.comparison.compare",
        "compare networks and cohorts: published and patient-level tests",
        ("compare.csv", "differences.csv"),
        (_UNCERTAINTY,),
        ("compare",),
    ),
    "calibrate": Stage(
        "hipoa.evaluation.calibration.calibrate",
        "measure calibration before and after temperature scaling, and net benefit",
        ("calibration.csv", "reliability.csv", "decision.csv"),
        (_UNCERTAINTY,),
        other_sections=("hips",),
        need=Need(cohort="labelled", seconds=1.3, seconds_per_hip=0.05),
    ),
    "detect": Stage(
        "hipoa.evaluation.detect",
        "measure failure detection by uncertainty",
        ("detection.csv", "risk_coverage.csv"),
        (_UNCERTAINTY,),
    ),
    "conform": Stage(
        "hipoa.evaluation.conformal.conform",
        "compute conformal prediction sets",
        ("conformal.csv",),
        (_UNCERTAINTY,),
        ("conform",),
    ),
    "embed": Stage(
        "hipoa.evaluation.embed",
        "compute the UMAP of the features",
        ("embedding.csv",),
        ("hips/labelled.csv", _MODELS),
        ("embed",),
        need=Need(1500, cohort="labelled", seconds=9.8),
    ),
    "explain": Stage(
        "hipoa.evaluation.explain",
        "compute saliency maps",
        ("explanations/{experiment}.npz",),
        (_UNCERTAINTY, "hips/labelled.npz", "models/*/r0f*.json"),
        ("explain",),
        need=Need(2500, cohort="labelled", seconds=5.7),
    ),
    "triage": Stage(
        "hipoa.triage.triage",
        "rank the unread hips",
        ("triage.csv",),
        (_UNCERTAINTY, _HIPS, _MODELS, "differences.csv"),
        ("triage",),
        need=Need(minutes=30, mb_per_1000=100, minutes_per_1000=1),
    ),
    "label_errors": Stage(
        "hipoa.triage.label_errors",
        "find likely label errors",
        ("label_errors.csv",),
        (_UNCERTAINTY, "hips/labelled.csv", "differences.csv"),
        ("label_errors",),
    ),
    "simulate": Stage(
        "hipoa.triage.simulation.simulate",
        "simulate active learning on graded hips",
        ("simulation.csv",),
        (*_GRADED, "weights/*.json"),
        ("simulate",),
        ("triage",),
        need=Need(3000, 240, mb_per_1000=250, minutes_per_1000=120, cohort="labelled", seconds_per_hip=0.15),
    ),
    "rounds": Stage(
        "hipoa.reading.rounds",
        "compare the rounds of reading",
        ("rounds.csv",),
        (_UNCERTAINTY, "hips/labelled.csv", "triage.csv"),
    ),
    "agreement": Stage(
        "hipoa.reading.agreement",
        "compare readers with each other and with the networks",
        ("agreement.csv",),
        (_UNCERTAINTY, _HIPS),
        ("hips",),
    ),
    "figures": Stage(
        "hipoa.report.figures.figures",
        "draw the figures",
        ("figures/*",),
        (*_SHOWN, *_DRAWN),
        need=Need(1500, 30, seconds=5.0, seconds_per_hip=0.001),
    ),
    "report": Stage(
        "hipoa.report.report",
        "write the report and the manifest",
        ("report.html",),
        ("*",),
        ("report",),
        need=Need(1500, 30, seconds=2.0),
    ),
}
"""The rules, in the order of the flow."""

TABLES = [path for stage in STAGES.values() for path in stage.outputs if re.fullmatch(r"\w+\.csv", path)]
"""The tables of the whole study, all of which the report reads."""

TABLES_DRAWN = [path for path in STAGES["figures"].inputs if path in TABLES]
"""Those that the figures are drawn from."""
