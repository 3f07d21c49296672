"""Images made from nothing, for the demo and the tests: no patient, a known truth, the same for the same seed."""
