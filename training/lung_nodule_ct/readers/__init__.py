"""What the readers of LIDC-IDRI thought of a nodule, and how well the detector's outline lets it be said."""
