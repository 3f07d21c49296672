"""Ways to run the node: command line, all roles on one machine, demo, container images."""

VERSION = "0.1.0"  # as in pyproject.toml: reading the metadata of the installed package takes 0.1 s of processor time
