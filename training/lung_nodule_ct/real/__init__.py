"""Real chest CT volumes with readers' marks, and real nodules to paste into them."""
