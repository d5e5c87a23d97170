"""From what a hospital exports to the tables of a study."""
