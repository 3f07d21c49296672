"""The ``dicom-node`` command: one module per group of commands. Their work is done by other packages."""

from deploy.cli.main import main

__all__ = ["main"]
