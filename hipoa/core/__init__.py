"""Shared by all packages: errors, files, tables and hashes."""
