"""``dicom-node doctor``: checks of the machine and the configuration."""
