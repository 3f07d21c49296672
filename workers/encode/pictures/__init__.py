"""Pictures of findings, for Secondary Capture objects and the result page. They never show patient data."""
