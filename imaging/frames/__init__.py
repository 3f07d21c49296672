"""Multi-frame images whose frames are decoded one at a time: OCT volumes, ultrasound loops, and the tiles of whole slides."""
