"""Numbers and words that several rooms share; each counts in the code hash of the stages that use it."""

RADIOGRAPH_PX = 150
"""Source: the radiographs of Masuda et al. 2024 have 150 x 150 pixels."""

CLASS_TABLE = ((1, 1), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (4, 4))
"""(Crowe, KL) of the classes 1-7, the default of the settings and what the phantom draws."""

ROMAN = {1: "I", 2: "II", 3: "III", 4: "IV"}
"""Crowe grade to its numeral."""

SIDE_NAMES = {"L": "left", "R": "right"}

SYNTHETIC_SCANNER = "phantom "
"""The scanners of the built-in cohort are named phantom A and B."""

UNSURE_BELOW = 0.6
"""A located hip of less confidence is said to be unsure, and set aside by triage."""

HIP_COLUMNS = (
    *("hip_id", "case_id", "patient_id", "side", "sex", "age", "scanner", "status", "reason", "method"),
    *("confidence", "centre_r_mm", "centre_a_mm", "centre_s_mm", "radius_mm", "implant", "cut"),
    *("spacing_r_mm", "spacing_a_mm", "spacing_s_mm", "tilt_deg", "turn_deg", "mark_to_head_mm", "warnings"),
    *("series", "slices", "step_mm", "set_aside", "manufacturer", "model", "kernel", "kernel_kind", "kv"),
    *("thickness_mm", "head_x_mm", "head_y_mm", "renderer"),
)
"""Of a shard's table of projections: the hip and what the CT says of it."""
SHARD_COLUMNS = (*HIP_COLUMNS, "png", "mm_per_px", "mirrored")
"""Of a shard's table of radiographs."""
