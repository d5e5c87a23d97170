"""Are planted wrong labels found, which measure finds errors, and does choosing pay? On labelled hips.

    python benchmarks/triage.py --hips results/study/hips [--weights results/study/weights/NAME.safetensors]

Networks are stood in for by what the stage simulate trains: small heads with dropout on frozen features, here
in cross-validation by patient. That takes seconds, so that wrong labels can be planted before the training,
where they do harm, and not after it. Without weights the features are means of 10 x 10 pixels.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open
from sklearn.metrics import roc_auc_score

from hipoa.evaluation.passes import MEASURES
from hipoa.grading.data.stratified_split import split_patients
from hipoa.grading.model.networks import HEADER
from hipoa.grading.settings import Experiment
from hipoa.triage.label_errors import score_labels
from hipoa.triage.settings import LabelErrorsSettings, SimulateSettings, TriageSettings
from hipoa.triage.simulation import linear_probe
from hipoa.triage.simulation.graded_hips import read_graded_hips
from hipoa.triage.simulation.learning_curves import RANDOM, describe
from hipoa.triage.simulation.linear_probe import extract_features, reduce_features, train_and_predict
from hipoa.triage.simulation.simulate import FROZEN, simulate

FOLDS = 4
QUICK = SimulateSettings(simulate_seeds=5, simulate_rounds=6)


def describe_hips(radiograph, weights, input_px):
    """Features (n, D): of the network before any training, or means of 10 x 10 pixels."""
    if weights is None:
        side = radiograph.shape[1] // 10
        blocks = radiograph.astype(np.float32).reshape(-1, side, 10, side, 10)
        return blocks.mean(axis=(2, 4)).reshape(len(radiograph), -1)
    with safe_open(weights, framework="pt") as file:
        network = json.loads(file.metadata()[HEADER])["network"]
    row = Experiment(network=network, weights="none", input_px=input_px)
    return extract_features(radiograph, row, weights)


def play(raw, hips, settings):
    """The gains over random of each order of reading."""
    features = reduce_features(raw, ~hips.test, linear_probe.DIMENSIONS)
    curves = simulate(
        hips,
        features,
        FROZEN,
        lambda rows, seed: train_and_predict(features, hips.grade, rows, seed),
        (RANDOM, *settings.strategies),
        settings,
        TriageSettings(),
    )
    rows = [row for row in describe(curves) if row["quantity"] == "gain"]
    for row in rows:
        print(*(row[name] for name in ("strategy", "metric", "value", "low", "high", "p_holm", "verdict")))
    return rows


def predict_out_of_fold(features, patient, grade, seed):
    """Probabilities (n, 7) and measures (n,) of heads that did not see the patient."""
    fold_of = split_patients(patient.tolist(), grade.tolist(), FOLDS, [seed])
    fold = np.array([fold_of[name] for name in patient.tolist()])
    probability, measures = np.zeros((len(grade), 7)), {name: np.zeros(len(grade)) for name in MEASURES}
    for number in range(FOLDS):
        here = fold == number
        model = train_and_predict(features, grade, np.flatnonzero(~here), [seed, number])
        probability[here] = model.probability[here]
        for name in measures:
            measures[name][here] = getattr(model, name)[here]
    return probability, measures


def plant(grade, share, least, most, random):
    """Moves a share of the labels by least to most classes; the new labels and which were moved (n,) bool."""
    distance = np.abs(np.arange(1, 8)[None] - grade[:, None])
    allowed = (distance >= least) & (distance <= most)
    moved = np.zeros(len(grade), dtype=bool)
    moved[random.choice(len(grade), round(share * len(grade)), replace=False)] = True
    others = [random.choice(np.flatnonzero(row) + 1) for row in allowed]
    return np.where(moved, others, grade), moved


def find_planted(features, hips, seeds, repeats=1):
    """Precision (which is recall) at the number planted, and of the flag, beside chance."""
    rows = []
    for kind, least, most in (("1 class off", 1, 1), ("2 or 3 classes off", 2, 3), ("any class", 1, 6)):
        for share in (0.05, 0.1):
            found = []
            for seed in range(seeds):
                label, moved = plant(hips.grade, share, least, most, np.random.default_rng([seed]))
                said = [
                    predict_out_of_fold(features, hips.patient, label, seed * repeats + repeat)[0]
                    for repeat in range(repeats)
                ]
                scores = score_labels(np.mean(said, axis=0), label, LabelErrorsSettings().least_distance)
                n, flagged = moved.sum(), scores["doubted"]
                found.append(
                    {
                        "expected_distance": moved[np.argsort(-scores["expected_distance"])[:n]].mean(),
                        "self_confidence": moved[np.argsort(scores["self_confidence"])[:n]].mean(),
                        "flag_precision": moved[flagged].mean() if flagged.any() else np.nan,
                        "flag_recall": flagged[moved].mean(),
                        "chance": moved.mean(),
                    }
                )
            means = {name: float(np.nanmean([row[name] for row in found])) for name in found[0]}
            rows.append({"planted": kind, "share": share, "n": int(n), **means})
            print(rows[-1], flush=True)
    return rows


def detect_errors(features, hips, repeats):
    """AUROC of each measure for an error of 1 or of 2 classes and more, a mean over repeats."""
    rows = []
    for dropout in (0.1, 0.25, 0.5):
        found = {}
        linear_probe.DROPOUT = dropout
        for repeat in range(repeats):
            said, measures = predict_out_of_fold(features, hips.patient, hips.grade, repeat)
            error = np.abs(said.argmax(axis=1) + 1 - hips.grade)
            for name in ("entropy", "max_probability", "variance", "mutual_information"):
                score = -measures[name] if name == "max_probability" else measures[name]
                for least in (1, 2):
                    found.setdefault((name, least), []).append(roc_auc_score(error >= least, score))
            worst = np.argmin(measures["max_probability"])
            rank = (measures["variance"] > measures["variance"][worst]).mean()
            found.setdefault(("rank by variance of the least certain hip", 0), []).append(rank)
        means = {f"{name}, error >= {least}": float(np.mean(v)) for (name, least), v in found.items()}
        rows.append({"dropout": dropout, **means})
        print(json.dumps(rows[-1], indent=1), flush=True)
    return rows


def main():
    """Reads a study's graded labelled hips and prints the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hips", type=Path, required=True, help="folder with labelled.csv and .npz")
    parser.add_argument("--weights", type=Path, help="what the stage weights wrote; none for pixels")
    parser.add_argument("--input-px", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=("planted", "detected", "simulated"), help="one of the three")
    parser.add_argument("--quick", action="store_true", help="smaller heads, half the seeds and rounds")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    settings = QUICK if given.quick else SimulateSettings()
    if given.quick:
        linear_probe.DIMENSIONS, linear_probe.STEPS, linear_probe.PASSES = 32, 80, 20
    hips = read_graded_hips([given.hips / "labelled.csv"], [given.hips / "labelled.npz"])
    raw = describe_hips(hips.radiograph, given.weights, given.input_px)
    features = reduce_features(raw, np.ones(len(raw), dtype=bool), linear_probe.DIMENSIONS)
    parts = {
        "planted": lambda: find_planted(features, hips, given.seeds),
        "detected": lambda: detect_errors(features, hips, given.seeds),
        "simulated": lambda: play(raw, hips, settings),
    }
    found = {name: part() for name, part in parts.items() if given.only in (None, name)}
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
