"""Rules that decide: pure functions of their arguments, without I/O and without a clock."""
