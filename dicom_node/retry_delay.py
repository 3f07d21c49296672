"""The time until the next attempt to reach a destination or a source."""

import random

from core.settings.delivery import DeliverySection


def retry_delay_s(attempt: int, delivery: DeliverySection) -> float:
    """Return the seconds until the next attempt: exponential, capped, and random (50 to 100 %).

    The delay is ``delivery.retry_base_s`` after the first attempt, then twice that, four times ..., at most ``delivery.retry_cap_s``. It is
    random so that a peer that comes back does not receive everything at the same moment.
    """
    longest: float = min(delivery.retry_cap_s, delivery.retry_base_s * 2 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1.0)
