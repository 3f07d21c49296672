"""Results on their way: one transport for each kind of address, and storage commitment."""
