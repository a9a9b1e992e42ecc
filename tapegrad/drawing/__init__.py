"""Drawings of tapes, through Graphviz."""

from tapegrad.drawing.picture import Drawing, draw

__all__ = ["Drawing", "draw"]
