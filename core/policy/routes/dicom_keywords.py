"""DICOM keywords (PS3.6), to find mistyped attributes in the configuration."""

import functools
import importlib.util
from pathlib import Path


@functools.cache
def dicom_keywords() -> frozenset[str]:
    """Return every keyword of pydicom's data dictionary.

    The dictionary's module is loaded by its path: ``import pydicom`` loads its pixel handlers and numpy as well, 2 s of processor time that
    every command would pay, because every command reads the configuration.
    """
    package = importlib.util.find_spec("pydicom")
    assert package is not None, "pydicom is a requirement of every role"
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "_dicom_dict.py"
    spec = importlib.util.spec_from_file_location("core.policy._dicom_dict", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return frozenset(entry[4] for entry in module.DicomDictionary.values() if entry[4])
