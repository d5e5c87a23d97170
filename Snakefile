import gc
import sys
from functools import cache
from pathlib import Path

from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.17")  # the first that installs pydantic 2

sys.path.insert(0, str(Path(workflow.basedir)))

from hipoa.core.errors import HipoaError
from hipoa.report.outputs import DRAWN as FIGURE_FILES, FIGURES
from hipoa.workflow.config import resolve
from hipoa.workflow.launch import (
    announce,
    find_machine,
    find_missing_conda,
    find_unseen,
    is_repetition,
    pattern,
    shell_prefix,
)
from hipoa.workflow.leftovers import remove_leftovers
from hipoa.workflow.parameters import *
from hipoa.workflow.resources import ask_memory, ask_minutes
from hipoa.workflow.stages import TABLES, TABLES_DRAWN
from hipoa.workflow.study import Study
from hipoa.workflow.summary import MEND, describe, describe_caveats, describe_failures


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


try:
    study = Study(resolve(config))
except HipoaError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
# Printed once, for every job of a cluster parses this file again.
if workflow.is_main_process and study.warnings:
    print(*study.warnings, sep="\n", file=sys.stderr)
# The tables stay in memory: this keeps the garbage collector from scanning them again and again.
gc.freeze()

own_environments = "conda" in map(str, workflow.deployment_settings.deployment_method)
if own_environments and (missing := find_missing_conda(workflow.deployment_settings.conda_base_path)):
    print(missing, file=sys.stderr)
    sys.exit(2)
logger.addFilter(lambda record: not is_repetition(record))
shell.prefix(shell_prefix(python=None if own_environments else Path(sys.executable)))
R = study.results
FOLDS = range(study.config["folds"]["folds"])


wildcard_constraints:
    cohort=pattern(study.used_cohorts),
    experiment=pattern(study.config["experiments"]),
    network=pattern(study.pretrained()),
    shard=r"(phantom)?\d+",
    repeat=r"\d+",
    fold=r"\d+",


include: "workflow/rules/common.smk"
include: "workflow/rules/stage.smk"
include: "workflow/rules/phantom.smk"
include: "workflow/rules/imaging.smk"
include: "workflow/rules/grading.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/triage.smk"
include: "workflow/rules/reading.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        f"{R}/report.html",
        study.lasting_files(),
        [f"{R}/figures/{name}" for name in FIGURE_FILES],
    localrule: True
    message:
        f"The report is {R}/report.html."


onstart:
    # Only networks cost much. Where jobs have environments of their own, this one may lack what the plan needs.
    networks = [job for job in workflow.dag.needrun_jobs() if job.rule.name in ("train", "predict")]
    if networks and not own_environments:
        at_once, gpus = find_machine(workflow, networks)
        announce(config, at_once, gpus, elsewhere=not workflow.local_exec)


onsuccess:
    told = [*remove_leftovers(study), *describe(Path(R)), *describe_caveats(Path(R))]
    print(*told, f"The report is {R}/report.html.", sep="\n")


onerror:
    print(
        *describe_failures(log),
        *describe(Path(R), stages=False),
        MEND.format(R),
        sep="\n",
        file=sys.stderr,
    )
