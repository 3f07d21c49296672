"""Commands of ``dicom-node models``."""
