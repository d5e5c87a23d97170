"""Reads tables that people keep: spreadsheets of any kind, cases.csv and grades.csv.

Standard library only, but for python-calamine, which workbooks need: the Snakefile imports this package.
"""
