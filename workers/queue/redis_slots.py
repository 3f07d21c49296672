"""Corrects the Redis transport of kombu: a worker's slot becomes free also when the broker could not be told that its message is done.

A worker takes no more messages than it has slots. kombu frees a slot only when the broker has answered the acknowledgement. If the
broker does not respond at that moment, the error is logged and the slot stays taken. Once all slots are taken, nothing is read from the
broker any more, so the lost connection is not noticed either: the worker lives, its heartbeats continue, and no wake-up reaches it.
"""

from kombu.transport import redis


class SlotFreeingQoS(redis.QoS):
    """Frees the slot of a message whether or not the broker has answered.

    The broker delivers a message that it was not told about again after the visibility timeout: one wake-up too many, which is harmless.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message and free its slot."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        finally:
            self._quick_ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Reject a message and free its slot."""
        try:
            super().reject(delivery_tag, requeue=requeue)  # type: ignore[no-untyped-call]
        finally:
            self._quick_ack(delivery_tag)


def install() -> None:
    """Use `SlotFreeingQoS` for every Redis connection of this process."""
    redis.Channel.QoS = SlotFreeingQoS
