"""From the socket to the answer of a C-STORE.

In call order: `listen_role` (processes) -> `listener` (wiring) -> `server` (connections) -> `accepted_association` -> `dul` (PDUs) ->
`dimse` (messages) -> `store_command` -> `spool` (bytes) -> `handlers` -> `intake` (keep, index) -> `headers`. Beside it: `leases`
(rows of open associations), `back_pressure`, `disk_space`, `receive_counts`, `refusal_audit`.
"""
