"""What the conductor looks at and asks: headers, counts, other contents, routes, the other series of a study."""
