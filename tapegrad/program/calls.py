"""Derivatives of calls: calls of other blocks, named by what they are the derivatives of.

A block `b` that sets y = b(x) has in derivatives

    x_bar += b.pullback(x, y, y_bar)        y_dot = b.pushforward(x, y, x_dot)

and one that adds, y += b(x), the same without y, which is no value of the block then, and with
y_dot added to. These are blocks in their turn, so the second derivative is
`b.pullback.pushforward`: it adds, and reads (x, y, y_bar, x_dot, y_dot, y_bar_dot).

Every block has as many operands as this says, whatever has derivatives in a program. What has none
is zeros to read, and has a place that nothing reads to be written to.
"""

from __future__ import annotations

from collections.abc import Iterator

from tapegrad.program.activity import Activity
from tapegrad.program.ir import Call, Index, Region, Span


class Derivatives:
    """Writes the derivatives of a program's calls.

    Parameters
    ----------
    activity : Activity
    suffix : str
        Of the names of what is written: adjoints, or tangents.
    """

    def __init__(self, activity: Activity, suffix: str) -> None:
        self._activity, self._suffix = activity, suffix
        self._n_zeros = self._n_unread = -1

    def pullback(self, call: Call) -> Iterator[Call]:
        """Yield what adds to the adjoints of what a call reads."""
        if self.is_active(call):
            reads = (*_known(call), *map(self._read, call.writes))
            yield Call(f"{call.block}.pullback", reads, self._written(call.reads), adds=True)

    def pushforward(self, call: Call) -> Iterator[Call]:
        """Yield what sets the tangents of what a call sets, or adds to them."""
        if self.is_active(call):
            reads = (*_known(call), *map(self._read, call.reads))
            written = self._written(call.writes)
            yield Call(f"{call.block}.pushforward", reads, written, call.adds)

    def is_active(self, call: Call) -> bool:
        """Whether a derivative goes through a call."""
        return any(map(self._activity.has, call.reads)) and any(
            map(self._activity.has, call.writes)
        )

    def regions(self) -> Iterator[Region]:
        """Yield the memory that the calls written so far use beside that of derivatives."""
        for name, size in (("zeros", self._n_zeros), ("unread", self._n_unread)):
            if size >= 0:
                yield Region(name + self._suffix, size, is_zeroed=True)

    def _read(self, span: Span) -> Span:
        if self._activity.has(span):
            return self._derivative(span)
        self._n_zeros = max(self._n_zeros, span.size)
        return Span("zeros" + self._suffix, Index(), span.size)

    def _written(self, spans: tuple[Span, ...]) -> tuple[Span, ...]:
        found, end = [], 0
        for span in spans:
            if self._activity.has(span):
                found.append(self._derivative(span))
            else:
                found.append(Span("unread" + self._suffix, Index(end), span.size))
                end += span.size
                self._n_unread = max(self._n_unread, end)
        return tuple(found)

    def _derivative(self, span: Span) -> Span:
        return Span(span.region + self._suffix, span.start, span.size)


def _known(call: Call) -> tuple[Span, ...]:
    return call.reads if call.adds else (*call.reads, *call.writes)
