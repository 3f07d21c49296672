"""What models of CT volumes share: the isotropic grid and the lung field."""
