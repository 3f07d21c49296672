"""``dicom-node doctor``: checks of the configuration, the machine and the servers."""
