"""Whole slides (PS3.3 A.32.8): pyramids of tiled images, read by regions at a stated pixel size."""
