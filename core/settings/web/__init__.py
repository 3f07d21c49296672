"""Settings of the console: its port and sign-in, uploads, and the viewer."""
