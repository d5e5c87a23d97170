"""Image quality, acquisition and patients of a cohort, as rows of tables and as sentences."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hipoa.report.characteristics import SEXES, list_people, write_years
from hipoa.report.cohort import Hip


def tabulate_quality(hips: Sequence[Hip]) -> dict[str, str]:
    """The radiographs of a cohort in numbers: heading to cell."""
    seen = [hip for hip in hips if hip.status == "ok"]
    methods = Counter(hip.method for hip in seen if hip.method)
    confidences = [float(hip.confidence) for hip in seen if hip.confidence]
    voxels = [side for hip in seen if (side := hip.voxel_mm) is not None]
    tilts, turns = ([abs(float(cell)) for hip in seen if (cell := getattr(hip, name))]
                    for name in ("tilt_deg", "turn_deg"))  # fmt: skip
    return {
        "images": f"{len(seen)}",
        "located by": ", ".join(f"{method} {count}" for method, count in sorted(methods.items())),
        "confidence, lowest and median": _summarise(confidences, "{:.2f}", min, statistics.median_low),
        "implants": _count(hip.implant for hip in hips),
        "CT ends within image": f"{sum(bool(hip.cut) for hip in seen)}",
        "longest voxel side, smallest and largest, mm": _summarise(voxels, "{:g}", min, max),
        "pelvic obliquity, median and largest, degrees": _summarise(
            tilts, "{:.1f}", statistics.median_low, max
        ),
        "pelvic rotation, median and largest, degrees": _summarise(
            turns, "{:.1f}", statistics.median_low, max
        ),
        "with a warning": f"{sum(bool(hip.warnings) for hip in seen)}",
        "refused": f"{sum(hip.status == 'refused' for hip in hips)}",
    }


def _summarise(values: Sequence[float], form: str, *statistics: Callable[[Sequence[float]], float]) -> str:
    """Such as "0.51 / 0.93"; a dash where there is no value."""
    return " / ".join(form.format(one(values)) for one in statistics) if values else "\N{EN DASH}"


def tabulate_acquisition(hips: Iterable[Hip]) -> dict[str, str]:
    """How the CTs with a radiograph were acquired: heading to cell, such as "Siemens (12), GE (3)"."""
    cts = _pick_cts(hips)
    steps = [float(ct.step_mm) for ct in cts if ct.step_mm]
    return {
        "CTs": f"{len(cts)}",
        "manufacturer": _count(ct.manufacturer for ct in cts),
        "model": _count(ct.model for ct in cts),
        "tube voltage": _count(f"{ct.kv} kV" if ct.kv else "" for ct in cts),
        "kernel": _count(ct.kernel_kind for ct in cts),
        "slice spacing, smallest, median and largest, mm": _summarise(
            steps, "{:.3g}", min, statistics.median, max
        ).strip("\N{EN DASH}"),
        "not known": f"{count_unknown(cts)[0]}",
    }


def count_unknown(hips: Iterable[Hip]) -> tuple[int, int]:
    """The CTs with a radiograph whose manufacturer, voltage and kernel are unknown, and all of them."""
    cts = _pick_cts(hips)
    return sum(not (ct.manufacturer or ct.kernel_kind or ct.kv) for ct in cts), len(cts)


def describe_acquisition(hips: Sequence[Hip]) -> str:
    """How the CTs were acquired, in sentences; empty where no header says so."""
    unknown, total = count_unknown(hips)
    if unknown == total:
        return ""
    names = (
        *("Scanners", "models", "tube voltage", "kernels"),
        "slice spacing in mm (smallest / median / largest)",
    )
    cells = [*tabulate_acquisition(hips).values()][1:-1]
    known = "; ".join(f"{name}: {cell}" for name, cell in zip(names, cells, strict=True) if cell)
    rest = f" This is not known for {unknown} of {total} CTs." if unknown else ""
    return f"{known} (numbers of CTs in brackets).{rest}"


def describe_people(hips: Iterable[Hip]) -> str:
    """Sex and age of the patients, in a sentence; empty where neither is known."""
    people = list_people(hips).values()
    sexes = Counter(person.sex for person in people)
    ages = sorted(person.years for person in people if person.years is not None)
    parts = [f"{sexes[sex]} {words}" for sex, words in SEXES.items() if sexes[sex]]
    if ages:
        median = write_years(statistics.median(ages))
        ends = " to ".join(dict.fromkeys(map(write_years, (ages[0], ages[-1]))))
        parts.append(f"age {ends} years (median {median}, n = {len(ages)})")
    return ", ".join(parts)


def _pick_cts(hips: Iterable[Hip]) -> list[Hip]:
    """One hip of each CT that has a radiograph."""
    cts: dict[str, Hip] = {}
    for hip in hips:
        if hip.status == "ok":
            cts.setdefault(hip.case_id, hip)
    return [*cts.values()]


def _count(names: Iterable[str]) -> str:
    """Such as "Siemens (12), GE (3)"; the most frequent first."""
    counts = Counter(filter(None, names))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} ({count})" for name, count in ordered)
