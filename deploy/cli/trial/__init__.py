"""Command ``dicom-node trial``."""
