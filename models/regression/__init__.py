"""Versions of a model compared on what training held out: images of a classifier, scans of a detector; a worse one is refused."""

FILE = "held_out.npz"  # the stored answers of a classifier, beside card and weights
MARKS_FILE = "held_out_marks.json"  # the stored marks of a detector
