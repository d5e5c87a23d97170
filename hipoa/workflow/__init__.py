"""The configuration, cohorts, jobs and hashes for the Snakefile, and commands about a whole study."""
