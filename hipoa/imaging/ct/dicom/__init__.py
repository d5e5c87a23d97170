"""CTs in DICOM."""
