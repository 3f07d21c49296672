"""What the demo's screenshots need beside the node, and which of it is missing on this machine."""

import importlib.util
import shutil

from deploy.demo.pacs.interface import Pacs
from deploy.demo.pacs.orthanc import Orthanc
from deploy.demo.viewer import ohif_files


def find_chromium() -> str | None:
    """Return the path of Chromium or Chrome; None when neither is installed."""
    return next((found for name in ("chromium", "google-chrome", "chromium-browser") if (found := shutil.which(name))), None)


def missing_prerequisites(pacs: Pacs) -> list[str]:
    """Name everything that is missing, each with the command that installs it."""
    missing = []
    if not isinstance(pacs, Orthanc):
        missing.append("Orthanc (apt-get install orthanc)")
    elif pacs.dicomweb is None:
        missing.append("Orthanc's DICOMweb plug-in (apt-get install orthanc-dicomweb)")
    if find_chromium() is None:
        missing.append("Chromium (apt-get install chromium)")
    if importlib.util.find_spec("playwright") is None:
        missing.append("Playwright (make viewer)")
    if ohif_files.find_ohif() is None:
        missing.append(f"OHIF {ohif_files.VERSION} (make viewer)")
    return missing
