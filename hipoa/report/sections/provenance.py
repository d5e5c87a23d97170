"""Versions, seeds and hashes: which files and which code each number came from."""

from __future__ import annotations

from typing import Any

from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The seeds, and each file with its hash and what made it."""
    seeds = {
        f"{section}.{name}": value
        for section, content in results.config.items()
        if isinstance(content, dict)
        for name, value in content.items()
        if name.endswith("seed")
    }
    return {"seeds": seeds, "files": [_trace(results, name) for name in results.hashes]}


def _trace(results: Results, name: str) -> dict[str, Any]:
    origin = results.origins.get(name, {})
    return {
        "name": name,
        "sha256": results.hashes[name],
        "stage": origin.get("stage", ""),
        "code": origin.get("code", ""),
        "sources": len(origin.get("inputs", ())),
    }
