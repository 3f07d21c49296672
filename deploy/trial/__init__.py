"""``dicom-node trial``: a version of a model tried in shadow on the studies that a site has stored, and the page with its figures."""
