"""The scenarios: each is one function, one capture, one truth."""
