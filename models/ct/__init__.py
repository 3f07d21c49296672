"""Code shared by models of CT volumes: resampling grids and the lung field."""
