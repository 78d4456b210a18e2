"""Doctor: whether a mirror is usable, what is wrong with it, and how to mend it."""
