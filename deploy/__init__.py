"""Ways to run the node: command line, all roles on one machine, demo, container images."""
