"""One new CT graded with the models of a finished study."""
