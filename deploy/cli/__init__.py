"""The ``dicom-node`` command: one file per group of commands, no policy of its own."""

from deploy.cli.main import main

__all__ = ["main"]
