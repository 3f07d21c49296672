"""A trial of a version on stored units: which units there are, their shadow jobs, and the results with what they are compared with."""
