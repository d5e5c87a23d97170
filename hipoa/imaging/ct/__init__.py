"""Reads CTs: from files of any supported format to Hounsfield units with a position in the patient."""
