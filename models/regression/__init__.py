"""Versions of a classifier compared on the images that training held out; a worse one is refused."""

FILE = "held_out.npz"  # the stored answers, beside card and weights
