"""Imported classifiers: photographs and other single images (2D) or CT series (3D) to classes, by networks of MONAI."""
