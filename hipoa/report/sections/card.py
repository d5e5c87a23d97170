"""A model card: what the trained networks are for, and what they are not for."""

from __future__ import annotations

from typing import Any

from hipoa.report.result_rows import list_words
from hipoa.report.results import Results
from hipoa.report.scores import find_best
from hipoa.report.sections.summary import write_score


def gather(results: Results) -> dict[str, Any]:
    """The entries, each a heading, what the run knows, and the section that says more."""
    return {"card": list_entries(results)}


def list_entries(results: Results) -> list[tuple[str, str, str]]:
    """The entries of the card (headings after Mitchell et al., Model cards for model reporting, 2019)."""
    best, flow = find_best(results.scores), results.everything
    networks = [f"{name} ({row['network']})" for name, row in results.config["experiments"].items()]
    score = (
        "No graded hip was predicted."
        if best is None
        else f"{best.experiment}: ECA {write_score(best)} on {best.n_hips} unseen hips; 95 % "
        f"interval, patients resampled."
    )
    return [
        ("Models", f"{len(results.records)} models of {list_words(networks)}, hipoa "
                   f"{results.versions['hipoa']}; made from "
         "the files that the manifest names. Licence of the code: Apache-2.0; of weights made from "
         "patients' data: to be decided by who holds these.", "provenance"),
        ("Intended use", "Research on grading hip osteoarthritis; choosing which unread hips a "
                         "person should read next.", ""),
        ("Not intended", "Decisions about a patient; radiographs from an X-ray machine; children, "
                         "implants, fractures and tumours; scanners and patients unlike these.", "limits"),
        ("Users", "Researchers in orthopaedic imaging, with a surgeon or radiologist who reads the "
                  "hips.", ""),
        ("Input and output", "A 150 x 150 radiograph projected from CT, of one hip. A probability "
                             "for each of seven classes, or a value; several measures of "
                             "uncertainty.", "methods"),
        ("Training data", f"Graded hips of the labelled "
                          f"cohort{' (synthetic)' if results.synthetic else ''}; all {flow.hips} "
                          f"hips and what became of them are in the flow diagram.", "patients"),
        ("Evaluation data", "The same hips out of fold, by patient; the external cohort where there "
                            "is one.", "accuracy"),
        ("Performance", score, "accuracy"),
        ("Subgroups", "By sex, age, side and implant, and by scanner, tube voltage, kernel and slice step, "
                      "where the tables of cases or the CTs' headers name them.", "subgroups"),
        ("Known failures", "The worst are shown.", "gallery"),
        ("Fairness and risks", "To be written by a person: who is missing from the data, whom an "
                               "error would harm.", ""),
    ]  # fmt: skip
