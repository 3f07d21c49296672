"""ZIP archives made in memory."""

import io
import zipfile
from collections.abc import Mapping


def zip_archive(entries: Mapping[str, bytes]) -> bytes:
    """Return an archive that holds ``entries`` by their names."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return out.getvalue()
