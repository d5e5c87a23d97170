"""Reads tables that people keep: spreadsheets of any kind, cases.csv and grades.csv."""
