"""A trial of a version on a site's stored studies: what its answers are compared with, and what may be concluded from the figures."""
