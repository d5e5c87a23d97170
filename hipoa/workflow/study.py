"""The cohorts, shards, jobs and result files of a configured study, for the Snakefile.

Standard library and pydantic only: a bare Snakemake imports this module, and every cluster job again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv
from hipoa.core.identifiers import normalise
from hipoa.core.tables.rows import COHORTS, Case, Reading, assign_cohorts, shard_of
from hipoa.core.tables.study_tables import Tables, read_tables
from hipoa.grading.data.split_check import count_labelled, read_folds
from hipoa.grading.settings import HipsSettings
from hipoa.phantom.cohort.members import count_patients, planned
from hipoa.workflow.stages import STAGES

_BUILTIN = "phantom"
_GRADED = ("labelled", "external")
_NEW_SPLIT = (
    "warning: {} patients were graded since the last run, and all patients will be split into new folds: "
    "scores of both runs cannot be compared. To keep the folds, run first: "
    "python -m hipoa keep-folds --study {}"
)


@dataclass(frozen=True)
class Study:
    """The cohorts, shards, jobs and paths of one configuration.

    Raises:
        ConfigError: There is no data, or nothing to train on.
        TableError: The tables cannot be used.
        CohortError: Patients with a grade do not suffice for the folds.
    """

    config: Mapping[str, Any]  # as `hipoa.workflow.config.resolve` gives it
    cases: Sequence[Case] = field(init=False)  # the rows of cases.csv, if there is one
    readings: Sequence[Reading] = field(init=False)  # the rows of grades.csv, if there is one
    warnings: Sequence[str] = field(init=False)  # what the user should look at in them, a line each

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
        object.__setattr__(self, "warnings", [*self.warnings, *self._warn_of_new_split()])

    def _say_nothing_is_graded(self) -> ConfigError:
        why, do = "no case is graded", "Name a table of grades."
        if self.readings:
            why, do = "every graded case is external", "Mark fewer patients as external, or grade others."
        elif self.config["data"]["grades"]:
            why, do = "the table of grades has no row", "Fill it in."
        return ConfigError("data.grades", f"{why}: there is nothing to learn from", do)

    def _check_split(self) -> None:
        """Refuses what the stages folds and train would refuse once every CT was read."""
        folds, data = self.config["folds"]["folds"], self.config["data"]
        builtin = [case for cases in self._builtin["labelled"].values() for case in cases]
        patients = self._count_builtin()["labelled"] if builtin else 0
        labelled = count_labelled(
            self.cohorts.get("labelled", []),
            self.readings,
            HipsSettings.model_validate(self.config["hips"]),
            Path(data["grades"]).name or "folds",
            builtin=(patients, 2 * len(builtin)),
        )
        labelled.check_folds(folds, kept=self._check_former_folds(folds))
        tasks = (row["task"] for row in self.config["experiments"].values())
        labelled.check_inner_folds(self.config["train"]["inner_folds"], folds, tasks)

    def _check_former_folds(self, folds: int) -> bool:
        """Whether there are folds of an earlier run to go on with."""
        former = [path for repeat in range(self.config["repeats"]) for path in self.former_folds(repeat)]
        given = self.config["data"]["folds"]
        if given and Path(given).resolve() == Path(self.results, "folds").resolve():
            do = f"Run python -m hipoa keep-folds --study {self.results} and leave the setting empty."
            raise ConfigError("data.folds", "a run cannot read the folds that it writes", do)
        if given and not former:
            raise ConfigError("data.folds", "there is no r0.csv in it", "Name a folder of folds.")
        for path in former:
            read_folds(Path(path), folds)
        return bool(former)

    def _warn_of_new_split(self) -> list[str]:
        """Says so if newly graded patients will move all others to other folds."""
        split = Path(self.results, "folds/r0.csv")
        if self.former_folds(0) or not split.is_file():
            return []
        known = {normalise(row["patient_id"]) for row in read_csv(split)}
        new = {normalise(case.patient_id) for case in self.cohorts.get("labelled", [])} - known
        return [_NEW_SPLIT.format(len(new), self.results)] if new else []

    def _check_weights(self) -> None:
        sources = self.pretrained()
        for row in self.config["experiments"].values():
            network, source = row["network"], row["weights"]
            if source not in ("none", sources.get(network)):
                found = f'{network} has weights "{source}" here and "{sources[network]}" there'
                do = "Take pre-trained weights of a network from one source."
                raise ConfigError("experiments", found, do)

    @cached_property
    def cohorts(self) -> dict[str, list[Case]]:
        """The user's own cases by cohort."""
        return assign_cohorts(self.cases, self.readings) if self.cases else {}

    @cached_property
    def own_shards(self) -> dict[str, dict[str, list[Case]]]:
        """The user's own cases by cohort and shard; sorted once, for there may be 100 000."""
        sorted_in: dict[str, dict[int, list[Case]]] = {cohort: defaultdict(list) for cohort in COHORTS}
        for cohort, cases in self.cohorts.items():
            for case in cases:
                sorted_in[cohort][shard_of(case.case_id, self.config["data"]["shards"])].append(case)
        return {
            cohort: {str(shard): shards[shard] for shard in sorted(shards)}
            for cohort, shards in sorted_in.items()
        }

    @cached_property
    def _builtin(self) -> dict[str, dict[str, list[str]]]:
        """The case ids of the built-in cohort by cohort and shard."""
        if not self.config["data"]["builtin_cohort"]:
            return {cohort: {} for cohort in COHORTS}
        population = self.config["phantom"]["population"]
        made = planned(self._count_builtin(), self.config["data"]["shards"], population)
        return {
            cohort: {f"{_BUILTIN}{shard}": ids for shard, ids in made[cohort].items()} for cohort in COHORTS
        }

    def _count_builtin(self) -> dict[str, int]:
        return count_patients(self.config["phantom"]["population"], self.config["phantom"])

    def count_graded_patients(self) -> dict[str, int]:
        """The patients of each graded cohort that has cases, own and built-in."""
        builtin = self._count_builtin() if self.config["data"]["builtin_cohort"] else {}
        own = {
            cohort: {normalise(case.patient_id) for case in self.cohorts.get(cohort, ())}
            for cohort in _GRADED
        }
        counts = {cohort: len(own[cohort]) + builtin.get(cohort, 0) for cohort in _GRADED}
        return {cohort: n for cohort, n in counts.items() if n}

    @cached_property
    def shards(self) -> dict[str, dict[str, list[str]]]:
        """The case ids, own and built-in, by cohort and shard; a cohort without cases has no shards."""
        own = {
            cohort: {shard: [case.case_id for case in cases] for shard, cases in shards.items()}
            for cohort, shards in self.own_shards.items()
        }
        return {cohort: own[cohort] | self._builtin[cohort] for cohort in COHORTS}

    def case_ids(self, cohort: str = "") -> list[str]:
        """The names of the cases of a cohort, or of all."""
        names = [cohort] if cohort else COHORTS
        return [case for name in names for cases in self.shards[name].values() for case in cases]

    def count_hips(self, cohort: str = "", shard: str = "") -> int:
        """Two for each case of a shard, of a cohort, or of all; asked for every job, of 100 000 cases too."""
        names = [cohort] if cohort else COHORTS
        return 2 * sum(
            len(cases) for name in names for key, cases in self.shards[name].items() if shard in ("", key)
        )

    @staticmethod
    def is_builtin(shard: str) -> bool:
        """Whether a shard is of the built-in cohort."""
        return shard.startswith(_BUILTIN)

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
        """The folder of what no run can make again: readings, former folds, rounds."""
        return f"history/{self.config['study']}"

    def former_folds(self, repeat: int) -> list[str]:
        """The file of the folds that the patients of an earlier run keep, if there is one."""
        path = Path(self.config["data"]["folds"] or f"{self.history}/folds", f"r{repeat}.csv")
        return [str(path)] if path.is_file() else []

    @cached_property
    def jobs(self) -> dict[str, list[dict[str, Any]]]:
        """Stage to the wildcards of each of its jobs."""
        return {
            name: [row for row in self._combine(stage.wildcards) if self._is_wanted(name, row)]
            for name, stage in STAGES.items()
        }

    def _combine(self, wildcards: Sequence[str]) -> list[dict[str, Any]]:
        """Every combination of the values of some wildcards, the last one varying fastest."""
        rows: list[dict[str, Any]] = [{}]
        for name in wildcards:
            rows = [row | {name: value} for row in rows for value in self._list_values(name, row)]
        return rows

    def _list_values(self, wildcard: str, row: Mapping[str, Any]) -> Iterable[Any]:
        if wildcard == "shard":
            return self.shards[row["cohort"]]
        return {
            "cohort": self.used_cohorts,
            "experiment": self.config["experiments"],
            "network": self.pretrained(),
            "repeat": range(self.config["repeats"]),
            "fold": range(self.config["folds"]["folds"]),
        }[wildcard]

    def _is_wanted(self, stage: str, row: Mapping[str, Any]) -> bool:
        if stage == "phantom":
            return self.is_builtin(row["shard"])
        if stage == "view":
            return self.config["reading"]
        if stage == "explain":  # without kept models they would be trained again
            return self.config["keep_models"] == "all" and self.config["explain"]["explained_hips"] > 0
        if stage == "predict" and row["cohort"] == "pool":
            return row["repeat"] < self._count_pool_repeats(row["experiment"])
        return True

    def _count_pool_repeats(self, experiment: str) -> int:
        bounds, repeats = self.config["pool"], self.config["repeats"]
        if bounds["experiments"] == "triage" and experiment != self.ranking_experiment:
            return 0
        return repeats if bounds["repeats"] is None else min(repeats, bounds["repeats"])

    def paths(self, stage: str, template: str = "", **wanted: Any) -> list[str]:
        """The paths of a file that each job of a stage makes.

        Args:
            stage: Its name.
            template: The file, relative to the results, with wildcards; the stage's first output if empty.
            wanted: Values of wildcards, for some of the jobs alone.
        """
        template = template or STAGES[stage].outputs[0]
        rows = (row for row in self.jobs[stage] if wanted.items() <= row.items())
        return [f"{self.results}/{template.format(**row)}" for row in rows]

    def lasting_files(self) -> list[str]:
        """Every output that a finished study has, figures left out.

        A failed job's outputs are deleted, and Snakemake makes none again whose results are there: the old
        report would remain beside new tables. What is a target is made again, and all that follows from it.
        """
        return [
            path
            for name, stage in STAGES.items()
            for template in stage.outputs
            if "*" not in template
            for path in self.paths(name, template)
        ]

    @property
    def ceilings(self) -> list[str]:
        """The attainable accuracy on synthetic readings; the same in all shards of a cohort."""
        path = "phantom/{cohort}/{shard}.ceiling.json"
        return [file for cohort in _GRADED for file in self.paths("phantom", path, cohort=cohort)[:1]]

    @property
    def truths(self) -> list[str]:
        """The measured geometry of the graded synthetic hips."""
        path = "phantom/{cohort}/{shard}.truth.csv"
        return [file for cohort in _GRADED for file in self.paths("phantom", path, cohort=cohort)]

    @property
    def ranking_experiment(self) -> str:
        """The experiment that ranks the unread hips."""
        return self.config["triage"]["experiment"] or next(iter(self.config["experiments"]))

    def feature_files(self) -> list[str]:
        """The predictions whose features are compared for the ranking: one repeat's."""
        files = self.paths("predict", experiment=self.ranking_experiment, repeat=0)
        return [path for path in files if not path.endswith("/external.npz")]

    def predicted_cohorts(self, experiment: str) -> list[str]:
        """The cohorts of which an experiment predicts anything."""
        rows = (row for row in self.jobs["predict"] if row["experiment"] == experiment)
        return list(dict.fromkeys(row["cohort"] for row in rows))

    @property
    def simulated_experiment(self) -> str:
        """The experiment whose network gives the simulation its features: the first that is pre-trained."""
        experiments = self.config["experiments"]
        trained = (name for name, row in experiments.items() if row["weights"] != "none")
        return next(trained, next(iter(experiments)))

    def pretrained(self) -> dict[str, str]:
        """The networks whose weights are fetched, and from where."""
        rows = self.config["experiments"].values()
        return {row["network"]: row["weights"] for row in rows if row["weights"] != "none"}

    def weight_files(self, experiment: str) -> list[str]:
        """The file of an experiment's pre-trained weights, if it starts from any."""
        row = self.config["experiments"][experiment]
        return [f"{self.results}/weights/{row['network']}.safetensors"] if row["weights"] != "none" else []
