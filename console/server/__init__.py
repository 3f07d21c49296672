"""What stands before the pages: connections with limits, the check of the Host header, limits of bodies, and security headers."""
