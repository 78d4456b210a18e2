"""The daemon: what a machine that watches for months needs around the engine."""
