"""Uploads of the console: the listener reads what has arrived in the upload folder and stores it as if it had come by C-STORE."""
