"""Writes software bills of materials (CycloneDX 1.5, JSON): of an image its Python and Debian packages, of a release its pins.

``python -m deploy.images.sbom NAME`` prints that of the installation; the build of an image writes it to
``/usr/share/dicom-node/sbom.cdx.json``. ``make sbom`` calls it with the files of pins. There is no time and no serial number in it, so
that the same packages give the same file.
"""

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy import VERSION

DPKG_STATUS = Path("/var/lib/dpkg/status")


def bill_of_materials(name: str, dpkg_status: Path = DPKG_STATUS) -> dict[str, Any]:
    """Return the document for an image: every installed Python distribution, and every Debian package of the status file."""
    components = sorted((*_python_packages(), *_debian_packages(dpkg_status)), key=lambda component: str(component["purl"]))
    return _document("container", name, components)


def release_materials(name: str, pins: Sequence[Path]) -> dict[str, Any]:
    """Return the document for a release: every package that the files of pins install on this Python and platform."""
    found = {}
    for path in pins:
        for line in path.read_text(encoding="utf-8").splitlines():
            text = line.split(" #")[0].strip()
            if not text or text.startswith(("#", "-")):
                continue
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate():
                package, version = canonicalize_name(requirement.name), str(requirement.specifier).removeprefix("==")
                purl = f"pkg:pypi/{package}@{quote(version)}"
                found[purl] = {"type": "library", "name": package, "version": version, "purl": purl}
    return _document("application", name, [found[purl] for purl in sorted(found)])


def _document(kind: str, name: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    root = {"type": kind, "name": name, "version": VERSION, "bom-ref": f"{name}@{VERSION}"}
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
    given, files = sys.argv[1], [Path(path) for path in sys.argv[2:]]
    json.dump(release_materials(given, files) if files else bill_of_materials(given), sys.stdout, indent=1)
