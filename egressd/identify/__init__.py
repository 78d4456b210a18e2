"""Which host is a camera, and why."""
