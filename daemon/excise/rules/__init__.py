"""Rules: their typed form, how they are read, checked, tested, and evaluated."""
