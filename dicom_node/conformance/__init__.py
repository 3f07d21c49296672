"""The DICOM conformance statement, generated from the code (outline after PS3.2)."""
