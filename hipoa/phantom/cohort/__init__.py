"""The patients of the built-in cohort, their readers, and the truth about their hips."""
