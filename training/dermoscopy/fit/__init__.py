"""The training loop of one stage."""
