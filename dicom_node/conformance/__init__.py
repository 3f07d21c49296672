"""The DICOM conformance statement (outline after PS3.2), generated from the tables that the program itself uses.

`statement` puts the sections together; each other module writes one of them as Markdown.
"""
