"""Which patients there are, and what is true of them."""
