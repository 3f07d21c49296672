"""`make audit`: every pin against published advisories; says so when no source of advisories could be reached.

A source that is out of reach, or a mirror that knows packages but no advisories, looks to pip-audit like a list without findings. So each
source is first asked for a release whose vulnerability is long known: who does not name that one is not believed.

Exit status: 0 nothing is known against any pin, 1 something is, 2 nothing could be checked.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SETS = ("torch", "worker", "embedded", "viewer", "dev", "audit")  # the node's set is a part of the worker's
SOURCES = {"pypi": "PyPI's JSON API", "osv": "osv.dev"}
KNOWN_BAD = "urllib3==1.26.4\n"  # CVE-2021-33503
TIMEOUT_S = 600


def ask(source: str, *files: Path) -> list[dict[str, Any]] | None:
    """What pip-audit says of every pin of ``files``; None where it gave no answer."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", source, "--disable-pip", "--no-deps", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", "20"]
    for file in files:
        command += ["--requirement", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None
    return found


def believed(source: str, folder: Path) -> bool:
    """Whether the source names what everybody knows."""
    known = folder / "known.txt"
    known.write_text(KNOWN_BAD)
    return any(pin.get("vulns") for pin in ask(source, known) or [])


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="dicom-node-audit-") as folder:
        source = next((name for name in SOURCES if believed(name, Path(folder))), None)
    if source is None:
        names = " and ".join(SOURCES.values())
        print(f"audit: NOTHING WAS CHECKED: no source of advisories could be reached ({names}). Run it where one can.", file=sys.stderr)
        return 2
    pins = ask(source, *(HERE / f"{name}.txt" for name in SETS))
    if pins is None:
        print(f"audit: NOTHING WAS CHECKED: {SOURCES[source]} broke off. Run it again.", file=sys.stderr)
        return 2
    bad = {(pin["name"], pin["version"], vuln["id"], ", ".join(vuln["fix_versions"])) for pin in pins for vuln in pin.get("vulns", [])}
    unknown = sorted({f"{pin['name']} ({pin['skip_reason']})" for pin in pins if "skip_reason" in pin})
    for name, version, id, fixed in sorted(bad):
        print(f"{name}=={version}: {id}, mended in {fixed or 'no release yet'}")
    for line in unknown:
        print(f"not checked: {line}", file=sys.stderr)
    print(f"audit: {len(pins) - len(unknown)} pins by {SOURCES[source]}, {len(bad)} advisories", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
