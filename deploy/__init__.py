"""How the node is run: the command line, the no-docker run, the demo."""
