"""Whether probabilities hold."""
