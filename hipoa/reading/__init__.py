"""The page on which a surgeon reads the hips that the list puts first, and what becomes of the readings."""
