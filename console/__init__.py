"""HTTP port of the node: status page, health, metrics and API. Reads the database only; opens no connections and encodes no DICOM."""
