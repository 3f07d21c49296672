"""Structures of the public training series that were looked at on the images and are plain anatomy.

The rule in ``suspicious`` cannot tell an azygos arch or a hilar vessel from a mass; a person can. Only what is beyond
doubt is here: these places stay negatives, so that the network learns them.
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
