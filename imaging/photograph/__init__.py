"""Photographs of skin: read to sRGB, and written as DICOM."""
