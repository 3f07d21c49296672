"""Lists the tests that failed in the last run of pytest, and fails if they are too many to be the effect of a busy machine."""

import json
import sys
from pathlib import Path

LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
MAX_FAILED = 5


def main() -> int:
    """Print the failed tests; return the exit status."""
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 1 <= len(failed) <= MAX_FAILED:
        print(f"{len(failed)} failed tests are recorded; between 1 and {MAX_FAILED} are run again", file=sys.stderr)
        return 1
    print("These tests failed beside others and are run again alone:", *failed, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
