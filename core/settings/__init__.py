"""The settings of a node: one module per section of ``node.toml``, put together in `core.settings.settings`.

Descriptions of the fields are the text of docs/configuration.md. Files and environment are read by `deploy.settings_file`.
"""
