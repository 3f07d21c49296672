"""The configuration file ``node.toml``: one module per section."""
