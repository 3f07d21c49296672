"""The images of a unit in the order of their position, without localizers."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.policy.slice_coverage import distance_along_normal, is_localizer
from db.complete.unit_records import InstanceView


@dataclass(frozen=True, slots=True)
class UnitContents:
    """``images``: what may be analysed, along the series. ``dropped``: SOP Instance UIDs of localizers."""

    images: tuple[InstanceView, ...]
    dropped: tuple[str, ...]

    @property
    def note(self) -> str:
        """What was left out, in words; "" where nothing was."""
        count = len(self.dropped)
        return f"{count} localizer{'s' if count > 1 else ''} left out" if count else ""

    @property
    def representative(self) -> InstanceView | None:
        """The image in the middle of the series: its header is the one that routes are matched with. None without images."""
        return self.images[len(self.images) // 2] if self.images else None


def unit_contents(instances: Sequence[InstanceView]) -> UnitContents:
    """Drop localizers, and order the rest by position along the slice normal, else by instance number."""
    images = [instance for instance in instances if not is_localizer(instance.header)]
    dropped = tuple(instance.header.sop_instance_uid for instance in instances if is_localizer(instance.header))
    return UnitContents(tuple(sorted(images, key=_position)), dropped)


def _position(instance: InstanceView) -> tuple[float, int, int]:
    header = instance.header
    distance = distance_along_normal(header.orientation, header.position) if header.orientation and header.position else 0.0
    return (distance, header.instance_number or 0, instance.id)
