"""What a result takes over from the images that it was made from."""
