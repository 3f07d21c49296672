"""The data set HAM10000: index, archives, folds."""
