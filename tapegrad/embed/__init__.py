"""Embedded forms: derivatives for the user's own compiled code to call."""
