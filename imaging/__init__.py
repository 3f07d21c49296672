"""DICOM files to headers, pixels, volumes and photographs, and photographs to DICOM. No network, no database."""
