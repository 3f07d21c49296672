"""Everything that speaks DICOM to the outside: the storage SCP, the conductor's questions, the sender.

A C-STORE goes: `receive.server` (associations) -> `receive.upper` (PDUs) -> `receive.messages` (command, answer) -> `receive.spool` (bytes)
-> `handlers` -> `intake` (keep, admit).
"""

IMPLEMENTATION_VERSION_NAME = "DICOMNODE_010"  # (0002,0013), at most 16 characters: the node's version 0.1.0
