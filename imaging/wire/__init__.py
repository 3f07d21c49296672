"""DICOM as bytes: data elements, Part 10 files and command sets, read and written."""
