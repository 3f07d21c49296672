"""Random views of the training images."""
