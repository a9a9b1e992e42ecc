"""What belongs to compiled code alone: a derivative along a vector, and the memory of its tapes."""

from tapegrad.embed.forms import jvp
from tapegrad.embed.pool import free_tapes

__all__ = ["free_tapes", "jvp"]
