"""The child process that opens what people upload: ``python -m dicom_node.upload.conversion_process``.

It decodes photographs and unpacks zip archives under limits of memory and processor time, which it sets before it loads anything that
parses. Paths are those that the parent made; a name within an archive never becomes a path.
"""

import errno
import sys
from pathlib import Path
from typing import Any

from core.process_limits import limit_process
from dicom_node.line_process.child import answer, requests

MEMORY_BYTES = 4 << 30
CPU_S = 60  # for each request


def main() -> int:
    """Answer requests until standard input ends."""
    limit_process(MEMORY_BYTES)
    from core.errors import NodeError, system_error_of  # imported under the limits: what follows loads every decoder
    from dicom_node.upload import conversions

    found: dict[str, Any]
    for request in requests(cpu_s=CPU_S):
        try:
            found = conversions.REQUESTS[request.pop("do")](**{**request, "path": Path(request["path"])})
        except (NodeError, OSError, MemoryError) as error:
            failed = system_error_of(error)
            if isinstance(error, MemoryError) or (failed is not None and failed.errno == errno.ENOMEM):
                found = {"refused": "it needs more memory than an upload may use"}
            elif failed is not None:
                found = {"unavailable": failed.strerror}
            else:
                found = {"refused": str(error)}
        answer(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
