"""Networks, their heads, losses and pre-trained weights."""
