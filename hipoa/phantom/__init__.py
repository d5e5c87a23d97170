"""A cohort of synthetic CTs whose hips have known grades."""
