"""Verdicts of clinicians on results, the release of results that waited for one, and the assessments (SR) to be made of them."""
