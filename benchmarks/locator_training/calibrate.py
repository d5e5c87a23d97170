"""Calibrates the locator's confidence on drawn CTs of bones that trained nothing.

    python benchmarks/locator_training/calibrate.py

A logistic regression of what speaks for a finding on whether it is a head of that side within 6 mm. Half of
the volumes fit it, the other half say how well it holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import pairwise
from multiprocessing import Pool
from pathlib import Path

# Each process its own core, before anything counts them.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from safetensors.numpy import load
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))
from augment import make_ct
from train import CACHE, WEIGHTS, Volumes, write

from hipoa.core.errors import CtError
from hipoa.imaging.ct.body import find_body
from hipoa.imaging.ct.volume import Volume
from hipoa.imaging.localization.candidates import find_candidates
from hipoa.imaging.localization.head_fit import refine_head
from hipoa.imaging.localization.locator import FEATURES, list_features

_WITHIN_MM = 6.0
_SEED = 77
_volumes: list[Volumes] = []


def examine(number: int) -> list[dict]:
    """What is found in one drawn CT: features and error of each finding."""
    if not _volumes:
        torch.set_num_threads(1)
        _volumes.append(Volumes(CACHE / "kept"))
    volumes = _volumes[0].all
    rng = np.random.default_rng([_SEED, number])
    which = number % len(volumes)
    anatomy, labels = volumes[which]
    hu, matrix, truth = make_ct(anatomy, labels, rng)
    if min(hu.shape) < 2:
        return []
    volume = Volume(hu, matrix)
    try:
        candidates = find_candidates(volume, find_body(volume))
    except CtError:
        return []
    rows = []
    for found in candidates:
        fit = refine_head(found.patch, found.centre_ras_mm, found.radius_mm)
        errors = {side: float(np.linalg.norm(fit.centre_ras_mm - at)) for side, at in truth.items()}
        rows.append(
            {
                "ct": number,
                "volume": which,
                "kind": anatomy.kind,
                "features": list_features(volume, found, fit).tolist(),
                "error_mm": errors.get(found.side, 1e3),
            }
        )
    return rows


def reliability(sure: np.ndarray, right: np.ndarray) -> list[dict]:
    """By bands of confidence: how many findings, how many within 6 mm of a head of that side."""
    bands = []
    for low, high in pairwise((0, 0.2, 0.5, 0.7, 0.85, 0.95, 1.001)):
        of_band = (sure >= low) & (sure < high)
        if of_band.any():
            means = {"mean": float(sure[of_band].mean()), "right": float(right[of_band].mean())}
            bands.append({"from": low, "to": min(high, 1.0), "n": int(of_band.sum()), **means})
    return bands


def main() -> None:
    """Draws CTs, fits, writes, and prints the reliability."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cts", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=CACHE / "calibration.json")
    options = parser.parse_args()
    with Pool(options.jobs) as pool:
        rows = [row for found in pool.imap(examine, range(options.cts), 8) for row in found]
    fitting = [row for row in rows if row["volume"] % 2 == 0]
    features = np.array([row["features"] for row in fitting])
    right = np.array([row["error_mm"] <= _WITHIN_MM for row in fitting])
    model = LogisticRegression(C=1.0, max_iter=2000).fit(features, right)
    tensors = load(WEIGHTS.read_bytes())
    tensors["confidence.weight"] = model.coef_[0].astype(np.float32)
    tensors["confidence.bias"] = model.intercept_.astype(np.float32)
    write(tensors, WEIGHTS)
    print(dict(zip(FEATURES, model.coef_[0].round(2).tolist(), strict=True)), model.intercept_)
    reporting = [row for row in rows if row["volume"] % 2 == 1]
    sure = model.predict_proba(np.array([row["features"] for row in reporting]))[:, 1]
    bands = reliability(sure, np.array([row["error_mm"] <= _WITHIN_MM for row in reporting]))
    for band in bands:
        print(" ".join(f"{key} {value:.2f}" for key, value in band.items()))
    options.out.write_text(json.dumps({"rows": rows, "reliability": bands}))


if __name__ == "__main__":
    main()
