"""Pictures of findings, for the colour Secondary Capture and the page that a clinician reads. No patient data in a picture."""
