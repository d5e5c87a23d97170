"""Reading in different orders, simulated."""
