"""What the Snakefile knows, and commands about a whole study."""
