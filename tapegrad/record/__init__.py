"""Ways to record: Python numbers, arrays, and whatever Numba compiles for active numbers."""
