"""Small captures with their truth, and the generator that makes them."""
