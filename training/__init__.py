"""What makes and measures weights. No role of the running node imports it."""
