"""What words of the report mean, for a surgeon: in a glossary, and where a section first uses one."""

from __future__ import annotations

import re

from markupsafe import escape

GLOSSARY = {
    "AUGRC": (
        "area under the generalised risk-coverage curve: how often a wrong grade is also a certain one, "
        "over all shares of hips kept (Traub et al. 2024); smaller is better"
    ),
    "AURC": (
        "area under the risk-coverage curve: the share of wrong grades among the hips kept, over all "
        "shares of hips kept, the most certain first; smaller is better"
    ),
    "AUROC": (
        "area under the receiver operating characteristic curve: of two hips, one with the finding and "
        "one without, how often the first has the higher value; 0.5 is chance, 1 perfect"
    ),
    "Crowe": "grade of subluxation and dislocation of the hip in dysplasia, I to IV (Crowe et al. 1979)",
    "DRR": "digitally reconstructed radiograph: an image computed from CT as an X-ray beam would give it",
    "ECA": "exact class accuracy: share of hips whose predicted class is the class that was read",
    "ECE": (
        "expected calibration error: by how much probabilities differ on average from the share of "
        "correct grades; 0 is best"
    ),
    "KL": "Kellgren-Lawrence grade of osteoarthritis, 0 to 4 (Kellgren and Lawrence 1957)",
    "MAE": "mean absolute error: by how many classes predictions are wrong on average",
    "ONCA": (
        "one-neighbour class accuracy: share of hips whose predicted class is at most one off the class "
        "that was read"
    ),
    "OOD": "out of distribution: unlike the hips that the network was trained on",
    "UMAP": (
        "uniform manifold approximation and projection: a map on which hips that the network takes for "
        "similar lie close together (McInnes et al. 2018)"
    ),
    "calibration": "whether of the hips given a probability of 80 % about 80 % are graded correctly",
    "class": "one of seven ordered pairs of Crowe and KL, from normal (1) to severe (7)",
    "conformal set": (
        "adjacent classes that together contain the class that was read in a stated share of hips, such "
        "as 90 %; a set of most classes tells little"
    ),
    "constant prediction": (
        "the same class for every hip, whatever the image; a network that is no better has not been shown "
        "to have learned anything"
    ),
    "dropout pass": (
        "one of several gradings of a hip by the same network, each with other parts of it switched off "
        "at random; the more they differ, the less certain the grade (Gal and Ghahramani 2016)"
    ),
    "external cohort": "patients from elsewhere, on whom no network was trained",
    "fold": (
        "one of the parts into which labelled patients are divided; each is graded by networks trained on "
        "the others"
    ),
    "interval, 95 %": "the values that are compatible with the data: a wide one means that little is known",
    "kappa": (
        "agreement beyond chance, 1 if perfect; quadratic weighted kappa counts errors of several classes "
        "more"
    ),
    "label": "the class of a hip by its readings, with which predictions are compared",
    "p (Holm)": "p value adjusted for the number of comparisons (Holm 1979)",
    "pool": "hips that nobody has read yet",
    "saliency map": "the parts of a radiograph on which a prediction rests",
    "variance": (
        "how much the probability of the predicted class varies between dropout passes; the measure of "
        "uncertainty of Masuda et al. 2024"
    ),
}
"""Word to meaning: the one list for the page."""

_ABBREVIATIONS = "|".join(word for word in GLOSSARY if word.isupper())
# Elements in which an explanation would be lost or in the way, any other tag, or an abbreviation in text.
_FOUND = re.compile(
    rf"<(script|style|svg|summary|select|code|thead|dt|h\d)\b.*?</\1>|<[^>]*>|\b(?P<word>{_ABBREVIATIONS})\b",
    re.DOTALL,
)


def explain_words(section: str) -> str:
    """Explains each abbreviation of the glossary where a section, as HTML, first uses it in running text."""
    explained: set[str] = set()

    def explain(found: re.Match[str]) -> str:
        word = found["word"]
        if word is None or word in explained:
            return found[0]
        explained.add(word)
        return f'<abbr title="{escape(GLOSSARY[word])}">{word}</abbr>'

    return _FOUND.sub(explain, section)
