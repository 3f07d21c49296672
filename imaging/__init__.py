"""Reading of DICOM files as headers, pixels, volumes and photographs, and writing of photographs as DICOM. No network, no database."""
