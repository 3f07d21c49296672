"""PACS of the demo: Orthanc, or a storage SCP."""
