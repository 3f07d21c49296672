"""The images of a unit as models take them."""

from imaging.frames.frame_series import FrameSeries
from imaging.photograph.read import Photograph
from imaging.slide.slide import Slide
from imaging.volume.volume import Volume

DecodedUnit = Photograph | Volume | FrameSeries | Slide
