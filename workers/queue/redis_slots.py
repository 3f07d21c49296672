"""The one thing of the Redis transport that is mended: a slot is free once its message is done with, also where the broker was not told.

A worker takes no more messages than it has slots. The transport frees one when the broker has answered the acknowledgement; where the
broker is away at that moment the error is logged and the slot stays taken. With all slots taken nothing is read from the broker any more,
so that the lost connection is not noticed either: the worker lives, its children beat, and no wake-up ever reaches them again.
"""

from kombu.transport import redis


class FreeingQoS(redis.QoS):
    """What the broker was not told it hands out again after the visibility timeout: one wake-up too many, which is harmless."""

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        finally:
            self._quick_ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue=requeue)  # type: ignore[no-untyped-call]
        finally:
            self._quick_ack(delivery_tag)


def mend() -> None:
    """For every connection of this process."""
    redis.Channel.QoS = FreeingQoS
