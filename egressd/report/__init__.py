"""Tell people and machines: the table, EVE lines, the case file."""
