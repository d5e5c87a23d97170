"""Tables that people keep: any spreadsheet, its cells, and the rows of cases.csv and grades.csv."""
