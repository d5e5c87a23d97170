"""One grade per hip from its readings, and folds."""
