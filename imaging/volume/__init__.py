"""CT series as volumes in Hounsfield units with their position in the patient."""
