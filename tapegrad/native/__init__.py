"""Rolled programs as machine code."""
