"""``dicom-node demo``: sends images to a temporary node and checks the reports in the PACS."""
