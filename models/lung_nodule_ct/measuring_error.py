"""The measuring error of the model's volumes, as its card states it among the limits (a test compares them)."""

from core.policy.priors.growth import MeasuringError

# Median error of the volume against the readers' consensus masks of 341 pasted nodules: 33 % below 6 mm, 17 % of all, which is used above.
VOLUME_ERROR = MeasuringError(small_below_mm=6.0, small=0.33, other=0.17)
