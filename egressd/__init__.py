"""egressd tests the claim "no data leaves the site" of camera vendors."""

__version__ = "0.1.0"
