"""Writes the software bill of materials of an image (CycloneDX 1.5, JSON): its Python and Debian packages.

``python -m deploy.images.sbom NAME`` prints it; the build of an image writes it to ``/usr/share/dicom-node/sbom.cdx.json``. It has no time
and no serial number, so that the same packages give the same file.
"""

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy import VERSION

DPKG_STATUS = Path("/var/lib/dpkg/status")


def bill_of_materials(name: str, dpkg_status: Path = DPKG_STATUS) -> dict[str, Any]:
    """Return the document for an image: every installed Python distribution, and every Debian package of the status file."""
    components = sorted((*_python_packages(), *_debian_packages(dpkg_status)), key=lambda component: str(component["purl"]))
    root = {"type": "container", "name": name, "version": VERSION, "bom-ref": f"{name}@{VERSION}"}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": root}, "components": components}


def _python_packages() -> Iterator[dict[str, Any]]:
    for distribution in importlib.metadata.distributions():
        metadata = distribution.metadata
        name = re.sub(r"[-_.]+", "-", metadata["Name"]).lower()
        stated = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), "")
        licence = stated.split("\n")[0][:100]
        component = {"type": "library", "name": name, "version": distribution.version}
        component["purl"] = f"pkg:pypi/{name}@{quote(distribution.version)}"
        yield {**component, **({"licenses": [{"license": {"name": licence}}]} if licence else {})}


def _debian_packages(status: Path) -> Iterator[dict[str, Any]]:
    if not status.is_file():
        return
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.+)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            version = fields["Version"]
            purl = f"pkg:deb/debian/{fields['Package']}@{quote(version, safe='')}?arch={fields['Architecture']}"
            yield {"type": "library", "name": fields["Package"], "version": version, "purl": purl}


if __name__ == "__main__":
    json.dump(bill_of_materials(sys.argv[1]), sys.stdout, indent=1)
