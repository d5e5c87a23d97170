"""From a folder of CTs and a spreadsheet of grades to the first tables of a study."""
