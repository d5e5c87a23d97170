"""hipoa: graded hips from pelvic CT, and an honest statement of how sure the grade is."""

__version__ = "0.1.0"
