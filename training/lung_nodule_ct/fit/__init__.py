"""The training loops of both stages."""
