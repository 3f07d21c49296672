"""The API under /api/v1: what the pages do, for programs. One module per subject; errors are problem details (RFC 9457)."""
