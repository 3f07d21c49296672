"""The child process that reads headers which cost much: ``python -m dicom_node.receive.headers.header_process``.

The threads of a listener share Python's interpreter lock: while one of them reads such a header, every other sender would wait.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from core.process_limits import limit_process
from dicom_node.line_process.child import answer, requests

MEMORY_BYTES = 4 << 30  # of addresses; a deflated data set is in memory as a whole
CPU_S = 60  # the limits of imaging.limits.work_budget allow about one
IDLE_S = 60.0


def main() -> int:
    """Answer requests until standard input ends, or for a while nothing is asked."""
    limit_process(MEMORY_BYTES)
    from core import process_memory
    from core.errors import CannotUnderstand, OverBudget
    from imaging.headers.whole_header import read_whole_header

    process_memory.return_large_blocks()
    process_memory.freeze_garbage_collector()
    found: dict[str, Any]
    for request in requests(cpu_s=CPU_S, idle_s=IDLE_S):
        try:
            found = {"header": dataclasses.asdict(read_whole_header(Path(request["path"])))}
        except CannotUnderstand as error:
            found = {"refused": str(error), "over_budget": isinstance(error, OverBudget), "status": error.status}
        except OSError:
            found = {"unavailable": True}
        answer(found)
        process_memory.release_garbage()
    return 0


if __name__ == "__main__":
    sys.exit(main())
