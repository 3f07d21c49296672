"""Structures of the public training series that a person reviewed on the images and that are normal anatomy.

``find_suspicious_regions`` cannot tell an azygos arch or a hilar vessel from a mass. The structures listed here are certain; they stay
negatives, so that the network learns them.
"""

from collections.abc import Mapping

from models.ct.isotropic_grid import Index

CPTAC, FDA = "cptac-C3N-00247-lung3.0-B70f", "fda-phantom-nodulelayout2-j2k-every4th-REPAIRED"

# native (z, y, x) of the centre
ANATOMY: Mapping[str, tuple[Index, ...]] = {
    CPTAC: (
        (69.0, 265.0, 225.0),  # azygos arch over the right main bronchus
        (67.0, 253.0, 347.0),  # left hilar vessels
    ),
    FDA: (
        (73.0, 253.0, 228.0),  # right hilar vessels of the phantom
        (93.0, 231.0, 223.0),
    ),
}
REACH_MM = 8.0
