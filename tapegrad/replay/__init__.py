"""Ways to run a tape."""
