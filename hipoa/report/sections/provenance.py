"""Versions, seeds and hashes: which files and which code each number came from."""

from __future__ import annotations

from typing import Any

from hipoa.report.results import Results


def gather(results: Results) -> dict[str, Any]:
    """The seeds, and each file with its hash and what made it."""
    config = results.config
    seeds = {"seed": config.get("seed"), "phantom.seed": config.get("phantom", {}).get("seed")}
    seeds = {name: seed for name, seed in seeds.items() if seed is not None}
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
