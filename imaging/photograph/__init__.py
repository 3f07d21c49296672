"""Photographs of skin: read as sRGB, and written as DICOM."""
