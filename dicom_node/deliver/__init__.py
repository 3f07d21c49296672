"""Delivery of results to destinations; the role ``send``.

`sender` runs one `destination_worker` for each destination. It sends objects through one of the `transports` (`c_store`, `stow_rs`,
`folder`), records the result (`settlement`), and pauses while the destination is unreachable (`outage`).
"""
