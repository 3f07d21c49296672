"""PixelMed's DicomSRValidator on several documents, in one Java virtual machine."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.external_programs import tool

PROGRAM = Path(__file__).with_name("ValidateReports.java")
JAR = "/usr/share/java/pixelmed.jar"
# In a run of this length the optimising compiler takes more time than it saves. A heap that begins small is searched for garbage again and
# again: a third of the processor time.
VIRTUAL_MACHINE = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms1g", "-Xmn640m")
# The style sheets are larger than what Java's XPath allows by default.
JAVA_OPTIONS = "-Djdk.xml.xpathExprOpLimit=0 -Djdk.xml.xpathTotalOpLimit=0 -Djdk.xml.xpathExprGrpLimit=0"


def validate_reports(reports: Mapping[str, Path]) -> dict[str, list[str]]:
    """The lines that the validator writes about each document, by the names in ``reports``.

    One virtual machine for all, because the validator compiles its style sheets when it starts: 15 s of processor.
    """
    tool("DicomSRValidator", "pixelmed-apps")  # the package that brings the Java library
    run = subprocess.run(
        [tool("java", "default-jre-headless"), *VIRTUAL_MACHINE, "-cp", JAR, str(PROGRAM), *map(str, reports.values())],
        capture_output=True, text=True, check=True, env={**os.environ, "JAVA_TOOL_OPTIONS": JAVA_OPTIONS},
    )  # fmt: skip
    lines: dict[str, list[str]] = {}
    names = {f"File {path}": name for name, path in reports.items()}
    for line in run.stdout.splitlines():
        if line in names:
            current = lines.setdefault(names[line], [])
        else:
            current.append(line)
    return lines
