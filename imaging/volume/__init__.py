"""CT series as volumes in Hounsfield units with their place in the patient."""
