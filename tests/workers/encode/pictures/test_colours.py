"""The colours of heat maps."""

import matplotlib
import numpy as np

from workers.encode.pictures.colours import VIRIDIS, heat_legend


def test_the_table_is_matplotlibs_viridis() -> None:
    expected = matplotlib.colormaps["viridis"](np.linspace(0.0, 1.0, 256))[:, :3] * 255
    assert np.array_equal(np.load(VIRIDIS), expected.astype(np.float32))


def test_higher_values_are_brighter_in_grey_too() -> None:
    grey = heat_legend(200, 1)[0, 80:].astype(float) @ (0.2126, 0.7152, 0.0722)  # Rec. 709
    assert (np.diff(grey) >= -1).all()
    assert grey[-1] > grey[0] + 60
