"""Encoding of results as DICOM objects.

Everything that is written is derived from the arguments, without clock or random UIDs, so that a retry gives the same bytes.
"""
