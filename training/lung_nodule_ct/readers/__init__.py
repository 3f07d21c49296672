"""The readers' ratings of the nodules of LIDC-IDRI, and how well they can be estimated within the detector's outline."""
