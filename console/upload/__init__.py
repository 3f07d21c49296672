"""Upload of photographs, DICOM files and archives: pieces go to the upload folder, and the listener takes complete files from there."""
