"""What the console's worklist and study page show: read only, one short transaction each."""
