"""What the site file says beyond the site itself: forms that check it, and what they become."""
