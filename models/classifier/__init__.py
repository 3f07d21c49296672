"""What classifiers share: parts of networks, calibration, tiers, distance from the training images, heat map. Imports no model."""
