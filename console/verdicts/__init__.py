"""Verdicts: what a clinician decides on the findings of a result, on the study page and in the viewer."""
