"""Linear algebra on active arrays: `numpy.linalg`'s functions as blocks, in files by family."""
