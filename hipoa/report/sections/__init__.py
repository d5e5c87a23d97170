"""One template for each section of the report, and what it shows."""
