"""The last step of the demo: screenshots of the results in OHIF."""
