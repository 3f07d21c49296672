"""Reading of DICOM files as headers, pixels, volumes and photographs, and writing of photographs as DICOM. No network, no database."""

from imaging.pydicom_import import import_pydicom

import_pydicom()

from imaging.limits.pydicom_limits import install_limits  # noqa: E402

install_limits()
