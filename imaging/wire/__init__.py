"""DICOM as bytes: Part 10 files, data elements and command sets, read and written."""
