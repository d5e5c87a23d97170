"""Which unread hips the surgeon should read next."""
