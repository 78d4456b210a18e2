"""Bytes to flows and looks, compiled; no Python object per frame."""
