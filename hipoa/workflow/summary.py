"""The summary of a run: cases done, cases refused and why, time and memory per stage, failed jobs.

Standard library and pydantic only: the Snakefile imports this module from a bare Snakemake.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hipoa.core.errors import ConfigError
from hipoa.core.files import read_csv, read_json
from hipoa.core.tables.rows import COHORTS
from hipoa.grading.data.labels import find_unused
from hipoa.workflow.stages import STAGES

MEND = (
    "Mend it and start the same command again: what is done is kept. "
    "What each stage took: python -m hipoa summary --results {}"
)
"""The last line of a run that failed."""

_REASONS, _SHOWN, _NAMED = 5, 4, 20
_IMPLANTS = {"replacement": "a replacement of the joint", "fixation": "nails, screws or plates"}
_LAST_LINES = 3
_LAST_BYTES = 20_000


@dataclass
class Failure:
    """A job that failed: its rule, its log if it has one, and what the machine said of it."""

    rule: str
    log: Path | None = None
    message: str = ""


def run(*, results: Path) -> None:
    """Prints what is done of a study, what was refused, and the time and memory of each stage.

    Args:
        results: The folder of the study, such as results/demo.

    Raises:
        ConfigError: There is no such folder.
    """
    if not results.is_dir():
        raise ConfigError("--results", f'"{results}" is no folder', "Name that of a study: results/NAME.")
    for line in [*describe(results), *describe_caveats(results)]:
        print(line)


def describe(results: Path, *, stages: bool = True) -> list[str]:
    """Cases done, refused and why, and what each stage took; nothing of what is not there yet."""
    return [*_describe_cases(results), *_describe_stages(measure(results) if stages else {})]


def describe_caveats(results: Path) -> list[str]:
    """Why the results of a finished study may be worth little: its preset, and the order of hips to read."""
    manifest, listed = results / "manifest.json", results / "triage.csv"
    preset = read_json(manifest)["configuration"].get("not_for_results") if manifest.is_file() else ""
    caveats = (
        {row.get("caveat", "") for row in read_csv(listed) if row["rank"]} if listed.is_file() else set()
    )
    return [*filter(None, [preset]), *(f"{listed.name}: {caveat}." for caveat in sorted(caveats - {""}))]


def measure(results: Path) -> dict[str, list[tuple[float, float]]]:
    """Seconds and megabytes of each job whose results lie in a folder, by stage in the order of the flow."""
    jobs: dict[str, list[tuple[float, float]]] = {stage: [] for stage in STAGES}
    for path in (results / "benchmarks").rglob("*.tsv"):
        stage = path.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            jobs.setdefault(stage, []).extend((_number(row["s"]), _number(row["max_rss"])) for row in rows)
    return {stage: found for stage, found in jobs.items() if found}


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
        if table.is_file():
            yield from _describe_cohort(cohort, read_csv(table), table)


def _describe_cohort(cohort: str, rows: Sequence[Mapping[str, str]], table: Path) -> Iterator[str]:
    """CTs done, hips refused or left out, and the grades that are not used."""
    refused: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] == "refused":
            refused.setdefault(row["reason"], []).append(row["hip_id"])
    count = sum(map(len, refused.values()))
    implants = Counter(row["implant"] for row in rows if row["status"] == "excluded" and row["implant"])
    # A hip with an implant was seen, left out or not.
    done = {row["case_id"] for row in rows if row["status"] == "ok" or row["implant"]}
    told = [f"{_count_hips(count)} refused"] if refused else []
    told += [f"{_count_hips(n)} left out for {_IMPLANTS[kind]}" for kind, n in sorted(implants.items())]
    cts = f"{len(done)} of {len({row['case_id'] for row in rows})} CTs done"
    yield f"{cohort}: {', '.join([cts, *told])}{f' ({table})' if told else ''}"
    yield from _list_refused(refused)
    if refused and cohort == "pool":
        yield f"    warning: {count} of {len(rows)} hips of the pool cannot be ranked or read"
    yield from _list_unused(rows, table)


def _list_refused(refused: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The most frequent reasons, with the first hips of each; all are in the table."""
    for reason, hips in sorted(refused.items(), key=lambda item: -len(item[1]))[:_REASONS]:
        more = f" and {len(hips) - _SHOWN} more" if len(hips) > _SHOWN else ""
        yield f"    {len(hips)} x {reason} ({', '.join(hips[:_SHOWN])}{more})"
    if len(refused) > _REASONS:
        yield f"    and {len(refused) - _REASONS} more reasons"


def _count_hips(number: int) -> str:
    return f"{number} hip{'' if number == 1 else 's'}"


def _list_unused(rows: Iterable[Mapping[str, object]], table: Path) -> Iterator[str]:
    """The hips that a person graded and that are not used, by name, up to 20; all are in the table."""
    unused = list(find_unused(rows))
    if unused:
        yield f"    warning: {len(unused)} graded hips are neither trained on nor scored"
    yield from (f"        {hip}: {reason}" for hip, reason in unused[:_NAMED])
    if len(unused) > _NAMED:
        yield f"        and {len(unused) - _NAMED} more ({table})"


def _describe_stages(jobs: dict[str, list[tuple[float, float]]]) -> Iterator[str]:
    if jobs:
        yield f"{'stage':12} {'jobs':>6} {'in all':>9} {'longest':>9} {'most memory':>12}"
    for stage, found in jobs.items():
        seconds, megabytes = zip(*found, strict=True)
        times = f"{_clock(sum(seconds)):>9} {_clock(max(seconds)):>9}"
        yield f"{stage:12} {len(found):>6} {times} {max(megabytes):>9.0f} MB"


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _number(text: str) -> float:
    # "NA" or "-" where a job was too short to be looked at.
    try:
        return float(text)
    except ValueError:
        return 0.0
