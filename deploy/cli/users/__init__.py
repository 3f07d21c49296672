"""Commands of ``dicom-node users``."""
