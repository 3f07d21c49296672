"""The route condition on the body part that a unit shows."""
