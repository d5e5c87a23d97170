"""CTs: from files as scanners and other tools write them to Hounsfield units with a place in the patient."""
