"""From readings to one grade per hip, and whether patients suffice for a split."""
