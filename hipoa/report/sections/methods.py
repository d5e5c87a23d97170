"""The methods, written from the configuration, ready for a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hipoa.report.radiograph_quality import find_renderers
from hipoa.report.result_rows import list_words
from hipoa.report.results import Results
from hipoa.report.scanner_table import describe_acquisition, describe_people

_RENDERERS = {
    "auto": "trilinear interpolation on a GPU (DiffDRR) or Joseph's method without one",
    "joseph_cpu": "Joseph's method",
    "trilinear": "trilinear interpolation (DiffDRR)",
    "siddon": "Siddon's method (DiffDRR)",
}
_LABEL_RULES = {
    "median": "the median of all readings (of two middle ones the milder)",
    "first": "the first reading",
    "latest": "the latest reading",
}
_LOSSES = {
    "classification": "cross-entropy",
    "ordinal": "cross-entropy against soft ordinal targets",
    "regression": "regression of the class",
}
_ROMAN = ("", "I", "II", "III", "IV")


class Paragraph(NamedTuple):
    """A heading and its text."""

    title: str
    text: str


def gather(results: Results) -> dict[str, Any]:
    """The paragraphs."""
    return {"methods": describe_methods(results)}


def describe_methods(results: Results) -> list[Paragraph]:
    """The methods of this very run."""
    config = results.config
    return [
        Paragraph("Patients", _describe_patients(results)),
        Paragraph("Radiographs", _describe_projection(results)),
        Paragraph("Reference grades", _describe_grades(config["hips"])),
        Paragraph("Networks", _describe_networks(config)),
        Paragraph("Training", _describe_training(config["train"])),
        Paragraph("Validation", _describe_validation(results)),
        Paragraph("Uncertainty", _describe_uncertainty(config)),
        Paragraph("Statistics", _describe_statistics(config)),
        Paragraph("Software", _describe_software(results.versions)),
    ]


def _describe_patients(results: Results) -> str:
    flow, external = results.everything, sum(hip.cohort == "external" for hip in results.hips)
    kind = "synthetic patients" if results.synthetic else "patients"
    people, acquired = describe_people(results.hips), describe_acquisition(results.hips)
    other = f" {external} hips form an external cohort that no network was trained on." if external else ""
    return (
        f"{flow.cts} pelvic CTs of {flow.patients} {kind} were included ({flow.hips} hips); "
        f"{flow.excluded} hips were excluded "
        f"beforehand and {flow.refused} refused for technical reasons. The unit of analysis is the "
        f"hip; both hips of a "
        f"patient are kept together throughout.{other}"
        f"{f' Patients: {people}.' if people else ''}{f' {acquired}' if acquired else ''}"
    )


# As measured (docs/locator.md).
_LOCATOR = (
    "The locator is two small networks trained on drawn volumes of real bones; on the few real CTs that it "
    "was measured on, it found six of seven hips of six people 1.5-2.9 mm from centres read by eye, which "
    "are good to 3-5 mm, and refused the seventh as cut off."
)


def _describe_projection(results: Results) -> str:
    project, develop = results.config["project"], results.config["develop"]
    used = find_renderers(results.hips) or [project["renderer"]]
    renderers = list_words(list(dict.fromkeys(_RENDERERS[name] for name in used)))
    mirror = "Left hips were mirrored. " if develop["mirror_left"] else ""
    rays = "parallel rays" if project["beam"] == "orthographic" else (
        f"rays from a point source (source to detector {project['source_to_detector_mm']:g} mm, "
        f"source to hip "
        f"{project['source_to_hip_mm']:g} mm)"
    )  # fmt: skip
    return (
        f"CT numbers were converted to linear attenuation at {project['energy_kev']:g} keV (CT at "
        f"an effective "
        f"{project['ct_energy_kev']:g} keV) by one fixed rule and integrated along {rays} in "
        f"anteroposterior direction by "
        f"{renderers}. A square of {develop['crop_mm']:g} mm about each hip "
        f"was resized to 150 x 150 pixels; "
        f"line integrals of {develop['window_low']:g} to {develop['window_high']:g} were mapped to "
        f"grey, the same for all "
        f"patients. {mirror}Hip centres came from landmarks, from label maps or from an automatic "
        f"locator. {_LOCATOR}"
    )


def _describe_grades(hips: Mapping[str, Any]) -> str:
    pairs = [
        f"{grade} (Crowe {_ROMAN[crowe]}, KL {kl})"
        for grade, (crowe, kl) in enumerate(hips["class_table"], start=1)
    ]
    zero = " KL 0 counts as KL 1." if hips["kl0_as_kl1"] else ""
    off = "are left out" if hips["off_table"] == "leave_out" else "take the nearest class"
    return (
        f"Crowe grade (dislocation) and Kellgren-Lawrence grade (KL, severity) are joined to seven "
        f"ordinal classes: {list_words(pairs)}.{zero} "
        f"Hips with another pair {off}. The grade of a hip is {_LABEL_RULES[hips['label_rule']]}."
    )


def _describe_networks(config: Mapping[str, Any]) -> str:
    said = []
    for name, row in config["experiments"].items():
        start = "random weights" if row.get("weights") == "none" else "pre-trained weights"
        heads = "Crowe and KL apart" if row.get("task") == "separate" else "the combined class"
        said.append(
            f"{name}: {row['network']}, input {row.get('input_px', 224)} x "
            f"{row.get('input_px', 224)} pixels, {start}, {heads}, "
            f"{_LOSSES[row.get('loss', 'classification')]}"
        )
    return f"Networks of timm were fine-tuned: {'; '.join(said)}."


def _describe_training(train: Mapping[str, Any]) -> str:
    weighted = "weighted by the inverse class frequency, " if train["class_weights"] else ""
    place = (
        "before the classifier" if train["dropout_where"] == "head" else "wherever the network has a place"
    )
    optimiser = {"adamw": "AdamW", "adam": "Adam", "sgd": "stochastic gradient descent"}[train["optimiser"]]
    fall = {"cosine": "cosine decay", "constant": "then constant"}[train["schedule"]]
    kept = (
        "The epoch with the least loss on an inner split of the training patients was used"
        if train["inner_best"] and train["inner_folds"]
        else "The last epoch's model was used"
    )
    return (
        f"Each model was trained for {train['epochs']} epochs in batches of {train['batch_size']}, "
        f"{weighted}with {optimiser} (peak learning rate {train['learning_rate']:g}, "
        f"{train['warmup_epochs']} epochs of warm-up, {fall}, weight decay {train['weight_decay']:g}) and "
        f"dropout of {train['dropout']:g} {place}. Images were turned (up to {train['rotate_deg']:g} "
        f"degrees), scaled (up to {100 * train['zoom']:g} %), blurred (up to {train['blur_sigma_px']:g} "
        f"pixels), changed in brightness and in contrast (up to "
        f"{100 * train['brightness_contrast']:g} % each), and up to {train['holes']} squares were "
        f"blacked out; none was flipped. {kept}; no test fold was looked at."
    )


def _describe_validation(results: Results) -> str:
    config = results.config
    return (
        f"{config['folds']['folds']}-fold cross-validation, stratified by class and grouped by "
        f"patient, was repeated {config['repeats']} times with "
        f"other splits (drawn from the seed {config['seed']} and the repeat). A hip of a patient "
        f"in the folds was graded only by models that "
        "never saw the patient; all other hips by every model, averaged."
    )


def _describe_uncertainty(config: Mapping[str, Any]) -> str:
    of = config["uncertainty"]["variance_of"]
    what = (
        "the probability of the predicted class"
        if of == "predicted"
        else "each class's probability, averaged over the classes"
    )
    return (
        f"Each model graded each hip {config['predict']['passes']} times with dropout on (Monte "
        f"Carlo dropout). The grade is the class of the "
        f"largest mean probability; uncertainty is the variance over the passes of {what}; entropy, "
        f"mutual information, the largest "
        "probability and the variance between models stand beside it. Each is judged by its AUROC "
        "for errors of one and of "
        "two or more classes and by risk-coverage curves (AURC, AUGRC)."
    )


def _describe_statistics(config: Mapping[str, Any]) -> str:
    levels = list_words([f"{100 * level:g} %" for level in config["conform"]["conformal_levels"]])
    return (
        f"A score is the mean over repeats of the score of out-of-fold predictions. Its 95 % "
        f"interval resamples patients "
        f"({config['bootstrap']['bootstrap_resamples']} resamples) and leaves out the variance "
        "of training. Networks are compared by the paired bootstrap of patients with Holm's "
        "adjustment, and by the corrected resampled t-test; "
        "Mann-Whitney U tests replicate the source and are descriptive, since their values are "
        "dependent. Temperatures and conformal "
        f"sets of neighbouring classes ({levels}) are cross-fitted by patient."
    )


def _describe_software(versions: Mapping[str, str]) -> str:
    named = list_words(
        [
            f"{name} {versions[name]}"
            for name in ("hipoa", "python", "torch", "timm", "scikit-learn", "snakemake")
            if name in versions
        ]
    )
    return f"{named}. All settings, seeds and hashes of code and data are in manifest.json."
