"""What the name of a segment or a mask says: a femur, its head or a hip bone, and the side of the patient.

A name counts only if every word of it is known: beside femora and hip bones lie their muscles and vessels.
"""

from __future__ import annotations

from hipoa.imaging.localization.landmark_names import compile_words, find_words

# English, German, Japanese, Chinese. What begins with another word stands before it.
_WORD = compile_words({
    # L5 is a vertebra, R2 a ray.
    "unknown": r"[lr]\d+",
    "femoral_head": "(?:huft|femur|oberschenkel)kopf(?:e?s)?|大腿骨頭|股骨頭|股骨头",
    "head": "heads?|caput|tete|cabeza|testa",
    "femur": "femorale|femoral|femora|femurs?|femoris|ossis|thighbones?|oberschenkel(?:knochens?)?|"
    "大腿骨|股骨",
    "hip": "hips?|hemipelvis|innominat(?:e|um)|coxa[el]?|huft(?:beins?|knochens?|e)|beckenhalfte|"
    "寛骨|髖骨|髋骨",
    "pelvis": "pelvis|pelvic|becken(?:knochens?)?|骨盤|骨盆",
    "other": "bones?|os|structure|of|the|entire|whole|proximal(?:e[rs]?)?|knochen|masks?|seg|segment|"
    "segmentation|labels?|側|の",
})  # fmt: skip
_SIDES = {"L": "left", "R": "right"}
KNOWN = "such as femur_left, Left femur, Femur L, Femur_Head_L, Oberschenkel links or 左大腿骨"
"""Names that count, for messages."""


def read_bone(name: str) -> str:
    """What a name means; case, separators and the form of the letters do not matter.

    Returns:
        "femur", "head" (of a femur) or "hip" (the hip bone) with "_left" or "_right" behind; "pelvis" for
        both hip bones in one; "" where it is none of these, names both sides or none, or has an unknown word.
    """
    kinds = set(find_words(name, _WORD))
    sides = [word for side, word in _SIDES.items() if side in kinds]
    bone = _name_bone(kinds)
    if "unknown" in kinds or len(sides) > 1 or not bone:
        return ""
    if not sides:
        return bone if bone == "pelvis" else ""
    return f"{'hip' if bone == 'pelvis' else bone}_{sides[0]}"


def _name_bone(kinds: set[str]) -> str:
    of_hip = kinds & {"hip", "pelvis"}
    if kinds & {"femur", "femoral_head", "head"}:
        is_head = "femoral_head" in kinds or {"femur", "head"} <= kinds
        found = "head" if is_head else "femur" if "femur" in kinds else ""
        return "" if of_hip else found
    return "hip" if "hip" in of_hip else "pelvis" if of_hip else ""
