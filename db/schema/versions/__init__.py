"""One module per revision; the file name begins with the revision's number."""
