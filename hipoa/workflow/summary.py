"""What a run came to: cases done, cases refused and why, time and memory per stage, and who failed.

Standard library only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hipoa.core.files import read_csv
from hipoa.core.tables.rows import COHORTS
from hipoa.workflow.stages import STAGES

_REASONS = 5
_LAST_LINES = 3
_LAST_BYTES = 20_000


@dataclass
class Spent:
    """What the jobs of a stage took: number, seconds in sum and at most, megabytes at most."""

    jobs: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0
    memory_mb: float = 0.0

    def add(self, seconds: float, memory_mb: float) -> None:
        """Counts one more job."""
        self.jobs += 1
        self.total_s += seconds
        self.longest_s = max(self.longest_s, seconds)
        self.memory_mb = max(self.memory_mb, memory_mb)


@dataclass
class Failure:
    """A job that failed: its rule, its log if it has one, and what the machine said of it."""

    rule: str
    log: Path | None = None
    message: str = ""


@dataclass
class _Hips:
    cases: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    reasons: Counter[str] = field(default_factory=Counter)


def run(*, results: Path) -> None:
    """Prints what the study in a folder has come to so far.

    Args:
        results: The folder of the study, such as results/demo.
    """
    for line in describe(results):
        print(line)


def describe(results: Path) -> list[str]:
    """Cases done, refused and why, and what each stage took; nothing of what is not there yet."""
    return [*_describe_cases(results), *_describe_stages(measure(results))]


def measure(results: Path) -> dict[str, Spent]:
    """What the jobs whose results lie in a folder took, by stage in the order of the flow."""
    spent: dict[str, Spent] = defaultdict(Spent)
    for path in (results / "benchmarks").rglob("*.tsv"):
        stage = path.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                spent[stage].add(_number(row["s"]), _number(row["max_rss"]))
    order = list(STAGES)
    return {
        stage: spent[stage] for stage in sorted(spent, key=lambda s: order.index(s) if s in order else -1)
    }


def find_failures(log: Path) -> list[Failure]:
    """The jobs that failed in a run and were not done in a later attempt, from Snakemake's own log."""
    failures: dict[str, Failure] = {}
    failed: Failure | None = None
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := re.match(r"Error in rule (\w+)", line):
            failed = Failure(match[1])
        elif match := re.match(r"Finished jobid: (\d+)", line):
            failures.pop(match[1], None)
        elif not line.startswith(" "):
            failed = None
        elif failed is not None and (match := re.match(r" {4}(jobid|message|log): (.*)", line)):
            _note(failed, match[1], match[2], failures)
    return list(failures.values())


def describe_failures(logs: Sequence[str]) -> Iterator[str]:
    """The last words of every job that failed, and where its log lies.

    Args:
        logs: Snakemake's logs of the run.
    """
    for failure in (failure for log in logs for failure in find_failures(Path(log))):
        yield f"{failure.rule} failed{f': {failure.log}' if failure.log else ''}"
        if "status is" in failure.message:  # a cluster's words: out of time, node failed
            yield f"    {failure.message.partition('. For further')[0]}"
        yield from (f"    {line}" for line in _last_words(failure.log))


def _note(failed: Failure, what: str, text: str, failures: dict[str, Failure]) -> None:
    if what == "jobid":
        failures[text] = failed
    elif what == "message":
        failed.message = text
    else:
        failed.log = Path(text.partition(" (check log file")[0])


def _last_words(log: Path | None) -> list[str]:
    if log is None or not log.is_file():
        return ["(it wrote no log)"]
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return [line for line in lines if line.strip()][-_LAST_LINES:] or ["(its log is empty)"]


def _describe_cases(results: Path) -> Iterator[str]:
    for cohort in COHORTS:
        table = results / "hips" / f"{cohort}.csv"
        if not table.is_file():
            continue
        hips = _Hips()
        for row in read_csv(table):
            hips.cases.add(row["case_id"])
            if row["status"] == "ok":
                hips.done.add(row["case_id"])
            elif row["status"] == "refused":
                hips.reasons[row["reason"]] += 1
        yield f"{cohort}: {len(hips.done)} of {len(hips.cases)} CTs done" + (
            f", {sum(hips.reasons.values())} hips refused ({table})" if hips.reasons else ""
        )
        for reason, count in hips.reasons.most_common(_REASONS):
            yield f"    {count} x {reason}"
        if len(hips.reasons) > _REASONS:
            yield f"    and {len(hips.reasons) - _REASONS} more reasons"


def _describe_stages(spent: dict[str, Spent]) -> Iterator[str]:
    if spent:
        yield f"{'stage':12} {'jobs':>6} {'in all':>9} {'longest':>9} {'most memory':>12}"
    for stage, one in spent.items():
        times = f"{_clock(one.total_s):>9} {_clock(one.longest_s):>9}"
        yield f"{stage:12} {one.jobs:>6} {times} {one.memory_mb:>9.0f} MB"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _number(text: str) -> float:
    # "NA" or "-" where a job was too short to be looked at.
    try:
        return float(text)
    except ValueError:
        return 0.0
