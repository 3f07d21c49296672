"""The worklist: the studies that the node has received, with state and result; the start page."""
