"""How fast egressd is and how much memory it takes, beside other programs: `python -m bench`."""
