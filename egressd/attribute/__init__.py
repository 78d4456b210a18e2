"""Whose is the far end: names, places, services."""
