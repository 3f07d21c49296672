"""The child process that compares two files: ``python -m dicom_node.conduct.comparison_process A B``. Its exit status is the result.

It limits its memory and processor time before it loads anything that parses.
"""

import sys
from pathlib import Path

from core.process_limits import limit_process

SAME, DIFFERENT = 0, 3
MEMORY_BYTES = 8 << 30
CPU_S = 120


def main(arguments: list[str]) -> int:
    """Compare the files ``arguments[0]`` and ``arguments[1]``. Returns `SAME` or `DIFFERENT`."""
    limit_process(MEMORY_BYTES, cpu_s=CPU_S)
    from imaging.pixels.same_content import same_content  # imported under the limits: it loads every codec

    return SAME if same_content(Path(arguments[0]), Path(arguments[1])) else DIFFERENT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
