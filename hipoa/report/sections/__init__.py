"""The sections of the report: a template each, and what some of them gather for it."""
