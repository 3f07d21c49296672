"""The child process that opens what people upload: ``python -m dicom_node.upload.conversion_process``.

It decodes photographs and unpacks zip archives under limits of memory and processor time, which it sets before it loads anything that
parses. Requests are lines of JSON on standard input, answers lines of JSON on standard output. Paths are those that the parent made; a
name within an archive never becomes a path.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

MEMORY_BYTES = 4 << 30
CPU_S = 60  # for each request


def main() -> int:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_processor_time()
    from core.errors import NodeError  # imported under the limits: what follows loads every decoder
    from dicom_node.upload import conversions

    answer: dict[str, Any]
    for line in sys.stdin:
        _limit_processor_time()
        request = json.loads(line)
        try:
            answer = conversions.REQUESTS[request.pop("do")](**{**request, "path": Path(request["path"])})
        except NodeError as error:
            answer = {"refused": str(error)}
        except MemoryError:
            answer = {"refused": "it needs more memory than an upload may use"}
        print(json.dumps(answer), flush=True)
    return 0


def _limit_processor_time() -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + CPU_S, hard))


if __name__ == "__main__":
    sys.exit(main())
