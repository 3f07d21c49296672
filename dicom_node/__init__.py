"""DICOM communication with other systems, in one folder for each step from a received image to a delivered result.

`receive` stores what sources send (C-STORE SCP). `conduct` decides when a unit is complete and which route takes it. `deliver` sends
results to destinations. `commitment` is storage commitment in both directions. `notify` watches the node and posts to the webhook.
`conformance` writes the conformance statement. Shared by these: associations that the node requests (`requestor`), their sockets
(`sockets`), presentation contexts (`contexts`) and status codes (`statuses`).
"""

import imaging  # noqa: F401  (imports pydicom faster than pydicom itself would)
