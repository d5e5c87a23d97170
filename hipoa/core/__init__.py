"""Shared by all packages: errors, files, tables and hashes.

All but columns and settings need the standard library alone, for the Snakefile imports them.
"""
