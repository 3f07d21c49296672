"""From a prediction to DICOM objects. Everything that is written is derived from the arguments: no clock, no random UID."""
