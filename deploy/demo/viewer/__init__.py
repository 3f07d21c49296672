"""The last step of the demo: the results shown in OHIF, as screenshots."""
