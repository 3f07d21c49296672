"""Settings of the peers that send to the node and receive from it, and of TLS."""
