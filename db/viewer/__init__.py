"""What the viewer of the console needs to know about a unit and its results."""
