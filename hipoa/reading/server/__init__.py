"""The page on which a surgeon reads."""
