"""What every rule has, what it asks for, the profiles, and the environments."""

import ast
import os
import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from hipoa.core.files import read_csv
from hipoa.workflow.config import Config, resolve
from hipoa.workflow.resources import ask_memory, ask_minutes
from hipoa.workflow.study import STAGES, Study
from hipoa.workflow.summary import measure

ROOT = Path(__file__).parents[2]
PROFILES = ("local", "slurm")
ENVIRONMENTS = sorted(path.name for path in (ROOT / "envs").glob("*.yaml"))


def read_rules():
    """The text of every rule that runs a stage, by name."""
    rules = {}
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for part in re.split(r"^(?=use rule )", text, flags=re.MULTILINE)[1:]:
            rules[re.match(r"use rule \w+ as (\w+) with:", part)[1]] = part
    return rules


RULES = read_rules()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_of_its_stage(rule):
    text = RULES[rule]
    for directive in ("output", "log", "benchmark", "params", "message"):
        assert re.search(rf"^    {directive}:", text, re.MULTILINE), directive
    assert f'code=stage_code("{rule}")' in text
    assert re.search(rf'command=command\(\s*study,\s*"{rule}"', text)
    assert f"R}}/logs/{rule}" in text
    assert f"R}}/benchmarks/{rule}" in text
    folder = STAGES[rule].folder or STAGES[rule].outputs[0]
    assert f'"{{R}}/{folder}' in text or rule == "figures"


def test_every_stage_has_a_rule_and_every_rule_a_stage():
    assert set(RULES) == set(STAGES)


def test_the_settings_of_a_stage_are_sections_of_the_configuration():
    sections = {name for stage in STAGES.values() for name in (*stage.sections, *stage.other_sections)}
    assert sections <= Config.model_fields.keys()


def test_no_job_took_more_memory_than_its_rule_asked_for(finished):
    taken = measure(finished.folder / "results/small")
    assert set(taken) >= {"project", "train", "predict", "report"}
    built_in = Study(resolve({"preset": "micro", "data": {"builtin_cohort": True}}))
    job = SimpleNamespace(cohort="pool", shard="phantom0", experiment="efficientnet")
    for stage, jobs in taken.items():
        seconds, megabytes = zip(*jobs, strict=True)
        assert max(megabytes) < ask_memory(built_in)(job, attempt=1, threads=1, rulename=stage), stage
        assert max(seconds) < 60 * ask_minutes(built_in)(job, attempt=1, rulename=stage), stage


def test_needs_grow_with_the_attempt_the_hips_and_the_network():
    published = Study(resolve({"preset": "published", "data": {"builtin_cohort": True}}))
    demo = Study(resolve({"preset": "demo", "data": {"builtin_cohort": True}}))
    job = SimpleNamespace(experiment="vit", cohort="pool", shard="phantom0")

    def memory(study, rule, job=job, attempt=1, threads=1):
        return ask_memory(study)(job, attempt, threads, rule)

    assert memory(published, "train", attempt=2) == 2 * memory(published, "train")
    # what `python -m hipoa plan` counts for DenseNet161, and the libraries
    assert 9000 < memory(published, "train") < 12000
    assert memory(demo, "train") < 4000
    assert memory(demo, "project", threads=4) - memory(demo, "project") == 3 * 1500
    study = Study(
        resolve({"preset": "demo", "phantom": {"population": "study"}, "data": {"builtin_cohort": True}})
    )
    job = SimpleNamespace(cohort="labelled")
    assert memory(study, "hips", job) > memory(demo, "hips", job)
    assert ask_minutes(study)(job, 1, "predict") > ask_minutes(demo)(job, 1, "predict")


class TestProfiles:
    def read(self, name):
        path = ROOT / f"workflow/profiles/{name}/config.yaml"
        return yaml.safe_load(path.read_text(encoding="utf-8"))

    @pytest.mark.parametrize("name", PROFILES)
    def test_a_profile_needs_no_entry_for_a_rule(self, name):
        profile = self.read(name)
        assert {"mem_mb", "runtime"} <= set(profile["default-resources"])
        assert set(profile.get("set-resources", {})) <= set(RULES)
        assert profile["retries"] >= 1
        assert profile["rerun-incomplete"]
        # it lets a failed job's partial file pass for a finished one
        assert "keep-incomplete" not in profile

    @pytest.mark.parametrize("name", PROFILES)
    def test_a_profile_plans_the_same_jobs(self, unrun, name):
        unrun.configure(data={"builtin_cohort": True})
        profile = f"workflow/profiles/{name}"
        assert unrun.planned("--workflow-profile", profile) == unrun.planned()

    def test_on_slurm_training_and_prediction_ask_for_a_gpu_and_no_other_rule(self):
        asked = self.read("slurm")["set-resources"]
        assert {rule: (row["gpu"], row["slurm_partition"]) for rule, row in asked.items()} == {
            "train": (1, "gpu"),
            "predict": (1, "gpu"),
        }


CONDA = """#!/bin/sh
case "$1" in
--version) echo "conda 26.7.1" ;;
info) echo '{"conda_prefix": "/nowhere", "platform": "linux-64", "conda_version": "26.7.1"}' ;;
config) echo '{"get": {"channel_priority": "strict"}, "success": true}' ;;
esac
"""
"""What a dry run asks conda."""


def pinned(name):
    """The packages of an environment by their canonical names, with their versions."""
    lines = yaml.safe_load((ROOT / "envs" / name).read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    pairs = [line.split("==") for line in lines if not line.startswith("--")]
    return {canonicalize_name(package): version for package, version in pairs}


def read_lock():
    """The lock's packages by their canonical names, with their versions."""
    lines = (ROOT / "envs/lock.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition(";")[0].strip().split("==") for line in lines]
    return {canonicalize_name(package): version for package, version in pairs}


class TestEnvironments:
    def test_the_lock_installs_on_the_oldest_python_that_we_name(self):
        # `make lock` takes what the Python at hand takes: a package that fails here is to be pinned lower.
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        oldest = project["requires-python"].removeprefix(">=") + ".0"
        for package in read_lock():
            try:
                needed = metadata(package).get("Requires-Python") or ""
            except PackageNotFoundError:  # of another platform
                continue
            assert SpecifierSet(needed).contains(oldest), f"{package} needs Python {needed}"

    @pytest.mark.parametrize("name", ENVIRONMENTS)
    def test_versions_are_those_of_the_lock_and_of_pyproject(self, name):
        locked = read_lock()
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        wanted = [*project["dependencies"], *project["optional-dependencies"]["demo"]]
        specifiers = {canonicalize_name(r.name): r.specifier for r in map(Requirement, wanted)}
        for package, version in pinned(name).items():
            assert version.removesuffix("+cpu") == locked[package], package
            assert specifiers[package].contains(version), package

    @pytest.mark.parametrize("room", ["imaging", "grading"])
    def test_the_one_for_cpus_differs_in_torch_alone(self, room):
        with_cuda, without = pinned(f"{room}.yaml"), pinned(f"{room}.cpu.yaml")
        torch = {name for name in with_cuda if name.startswith("torch")}
        assert without == with_cuda | {name: f"{with_cuda[name]}+cpu" for name in torch}

    @pytest.mark.parametrize(("torch", "suffix"), [("cuda", ""), ("cpu", ".cpu")])
    def test_the_configuration_says_which(self, unrun, torch, suffix):
        unrun.configure(data={"builtin_cohort": True}, torch=torch)
        conda = unrun.folder / "bin/conda"
        conda.parent.mkdir()
        conda.write_text(CONDA)
        conda.chmod(0o755)
        path = f"{conda.parent}{os.pathsep}{os.environ['PATH']}"
        done = unrun.snakemake("--dry-run", "--use-conda", PATH=path)
        named = set(re.findall(r"envs/(\S+?\.yaml)", done.stdout + done.stderr))
        assert named == {f"imaging{suffix}.yaml", f"grading{suffix}.yaml", "evaluation.yaml"}

    @pytest.mark.parametrize("rule", RULES)
    def test_a_stage_finds_in_its_environment_all_that_it_imports(self, rule):
        parent = RULES["project"] if rule == "view" else RULES[rule]
        room = re.search(r"environment\(\"(\w+)\"\)", parent)
        packages = pinned(f"{room[1] if room else 'evaluation'}.yaml")
        distributions = packages_distributions()
        for name in third_party(STAGES[rule].module) & distributions.keys():
            provided = {canonicalize_name(each) for each in distributions[name]}
            assert provided & packages.keys() or provided & BROUGHT_ALONG, name


BROUGHT_ALONG = {"typing-extensions", "pyyaml", "pandas", "markupsafe"}
"""What others of an environment always bring along, or what a stage imports for the command line alone."""


def third_party(module):
    """The top names that a module imports, and the hipoa modules that it imports, however far down."""
    seen, waiting, names = set(), [module], set()
    while waiting:
        module = waiting.pop()
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        if module in seen or not path.is_file():
            continue
        seen.add(module)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = imported(node)
            waiting += [name for name in found if name.startswith("hipoa.")]
            names |= {name.partition(".")[0] for name in found} - {"hipoa"}
    return names


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def test_the_summary_tells_cases_refusals_and_costs(finished):
    told = finished.run.stdout
    cases = read_csv(finished.folder / "my data/cases.csv")
    done = re.search(r"pool: (\d+) of (\d+) CTs done", told)
    assert done
    assert int(done[2]) <= len(cases)
    assert re.search(r"^train +4 +0:\d\d:\d\d +0:\d\d:\d\d +\d+ MB$", told, re.MULTILINE)
