"""The ways in which each role reads a received file, for the search for files that cost much to read."""

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import numpy as np

from console.viewer.render_unit import plan_stack
from core.errors import NodeError
from imaging.headers.instance_header import read_header
from imaging.headers.route_values import read_route_values
from imaging.photograph.read import read_photograph
from imaging.pixels.decode import decode_frames
from imaging.volume.volume import read_volume
from imaging.wire.tolerant_parser import read_dataset


def read_as_worker(path: Path) -> None:
    """Decode it as a photograph, as frames and as a volume; what one of them refuses, another may read."""
    for way in (read_photograph, lambda file: np.asarray(decode_frames(read_dataset(file, pixels=True))), lambda file: read_volume([file])):
        with suppress(NodeError):
            way(path)


def read_as_console(path: Path) -> None:
    """Order it as a series, and decode it as a photograph, as a render process does."""
    for way in (lambda file: plan_stack([file]), read_photograph):
        with suppress(NodeError):
            way(path)


# A sender reads the node's own objects: `dicom_node.deliver.transport_types.decode_object` calls the same function.
READERS: Mapping[str, Callable[[Path], object]] = MappingProxyType(
    {
        "listener": read_header,
        "conductor": lambda path: read_route_values(read_dataset(path)),
        "worker": read_as_worker,
        "sender": lambda path: read_dataset(io.BytesIO(path.read_bytes()), pixels=True),
        "console": read_as_console,
    }
)
HEADER_READERS = ("listener", "conductor")  # they decode no pixels: their memory is bounded by the size of the file
