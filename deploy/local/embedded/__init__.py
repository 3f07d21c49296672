"""The embedded PostgreSQL and Valkey or Redis: found, started and stopped."""
