import gc
import sys
from functools import cache
from pathlib import Path

from snakemake.utils import min_version

min_version("9.17")  # the first that brings pydantic 2 along

sys.path.insert(0, str(Path(workflow.basedir)))

from hipoa.core.errors import HipoaError
from hipoa.workflow.leftovers import remove_leftovers
from hipoa.workflow.resources import ask_memory, ask_minutes
from hipoa.report.outputs import DRAWN, DRAWN_FROM, FIGURES, SOURCES
from hipoa.workflow.summary import describe, describe_failures
from hipoa.workflow.config import resolve
from hipoa.workflow.study import Study, announce, find_unseen, pattern, shell_prefix, stage_code


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


try:
    study = Study(resolve(config))
except HipoaError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
# Once: every job of a cluster parses this file again.
if workflow.is_main_process and study.warnings:
    print(*study.warnings, sep="\n", file=sys.stderr)
# All of the tables stays: Python need not look there again and again for what could be freed.
gc.freeze()

own_environments = "conda" in map(str, workflow.deployment_settings.deployment_method)
shell.prefix(shell_prefix(Path(workflow.basedir), None if own_environments else Path(sys.executable)))
R = study.results


wildcard_constraints:
    cohort=pattern(study.used_cohorts),
    experiment=pattern(list(study.config["experiments"])),
    network=pattern(list(study.pretrained())),
    shard=r"(phantom)?\d+",
    repeat=r"\d+",
    fold=r"\d+",


include: "workflow/rules/common.smk"
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
        study.views,
        lasting_files(),
    localrule: True
    message:
        f"The report lies in {R}/report.html."


onstart:
    # Networks are what costs; without own environments this one may lack what the plan needs.
    ahead = {job.rule.name for job in workflow.dag.needrun_jobs()}
    if ahead & {"train", "predict"} and not own_environments:
        announce(config, Path(workflow.basedir))


onsuccess:
    print(*remove_leftovers(study), *describe(Path(R)), f"The report lies in {R}/report.html.", sep="\n")


onerror:
    print(*describe(Path(R)), *describe_failures(log), sep="\n", file=sys.stderr)
