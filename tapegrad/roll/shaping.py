"""Iterations that recognition left beside a loop, taken into it.

A first iteration differs from the others where a carried value begins with a constant, and inner
loops are seen only where they run three times. Which loop a record belongs to is all that changes,
never the order of the records, so the nest runs the same records in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tapegrad.roll.nest import FAR, Indices, Leaf, Loop, Node, nearness, operands
from tapegrad.tape import Tape


@dataclass(eq=False)
class Iteration:
    """Nodes that stand for one iteration of a loop, as a match with its body."""

    match: Match


Found = Leaf | Loop | Iteration

Match = list[tuple[list[Found], Node]]
"""What of the nodes beside a loop belongs to which node of its body, in order."""


def absorb(tape: Tape, loop: Loop) -> None:
    """Have every loop inside take in the iterations that stand before and after it."""
    for node in loop.body:
        if isinstance(node, Loop):
            absorb(tape, node)
    body = loop.body
    k = 0
    while k < len(body):
        node = body[k]
        if isinstance(node, Loop):
            before = _take_iterations(tape, node, body[:k], backward=True)
            del body[k - before : k]
            k -= before
            previous = body[k - 1] if k else None
            if isinstance(previous, Loop) and _reads_alike(tape, previous, node):
                _join(previous, node)
                del body[k]
                k, node = k - 1, previous
            k, node = _turn(tape, body, k, node)
            after = _take_iterations(tape, node, body[k + 1 :], backward=False)
            del body[k + 1 : k + 1 + after]
            following = body[k + 1] if k + 1 < len(body) else None
            if isinstance(following, Loop) and _reads_alike(tape, following, node):
                _join(node, following)
                del body[k + 1]
                continue
        k += 1


def _turn(tape: Tape, body: list[Node], k: int, loop: Loop) -> tuple[int, Loop]:
    """Have the loop at `k` begin earlier and end earlier, if that makes an iteration of its rest.

    Recognition begins a loop where its shapes first repeat, which may be within an iteration.
    Returns where the loop is then, and the loop.
    """
    if not np.all(loop.counts):
        return k, loop
    ends = np.cumsum(loop.counts) - 1
    turned: list[Node] = list(loop.body)
    tail: list[Node] = []
    first = k
    while first and len(tail) < len(turned) - 1:
        node, last = body[first - 1], turned[-1]
        if not isinstance(node, Leaf) or not isinstance(last, Leaf):
            break
        if not node.is_like(last) or not _fits(tape, node, last, int(last.slots[-1])):
            break
        rest = np.delete(last.slots, ends)
        merged = np.sort(np.concatenate([node.slots, rest]), kind="stable")
        tail.insert(0, replace(last, slots=last.slots[ends]))
        turned = [replace(last, slots=merged), *turned[:-1]]
        first -= 1
    after = [*tail, *body[k + 1 :]]
    if not tail or _match(tape, after, turned, backward=False) is None:
        return k, loop
    turned_loop = Loop(turned, loop.counts, _starts(body[first]))
    body[first:] = [turned_loop, *after]
    return first, turned_loop


def _take_iterations(tape: Tape, loop: Loop, beside: list[Node], backward: bool) -> int:
    """Have a loop take in what stands beside it; return how many nodes that is."""
    taken = 0
    while True:
        rest = beside[: len(beside) - taken] if backward else beside[taken:]
        match = _match(tape, rest, loop.body, backward)
        if match is None:
            return taken
        _take_in(loop, match, backward)
        taken += _n_nodes(match)


def _n_nodes(match: Match) -> int:
    """Return how many nodes were matched."""
    return sum(
        _n_nodes(item.match) if isinstance(item, Iteration) else 1
        for found, _ in match
        for item in found
    )


def _match(tape: Tape, nodes: list[Node], pattern: list[Node], backward: bool) -> Match | None:
    """Match a body with the nodes next to its loop."""
    rest = list(nodes)
    match: Match = []
    n_leaves = 0
    for wanted in reversed(pattern) if backward else pattern:
        found = _take(tape, rest, wanted, backward)
        if found is None or (not found and not isinstance(wanted, Loop)):
            return None
        n_leaves += isinstance(wanted, Leaf)
        match.append((found, wanted))
    if backward:
        match.reverse()
    if not n_leaves and not any(found and isinstance(found[0], Loop) for found, _ in match):
        return None
    begin = _last_start(pattern[0])
    for found, wanted in match:
        for item in found:
            if (
                isinstance(wanted, Leaf)
                and isinstance(item, Leaf)
                and not _fits(tape, item, wanted, begin)
            ):
                return None
    return match


def _take(tape: Tape, rest: list[Node], wanted: Node, backward: bool) -> list[Found] | None:
    """Remove from `rest` what a node of a body stands for; None if it's something else."""
    found: list[Found] = []
    while rest:
        node = rest[-1] if backward else rest[0]
        if _is_alike(node, wanted):
            item: Found = node
            length = 1
        elif isinstance(wanted, Loop) and isinstance(node, Leaf):
            match = _match(tape, rest, wanted.body, backward)
            if match is None or not all(nodes for nodes, _ in match):
                break
            item, length = Iteration(match), _n_nodes(match)
        else:
            break
        found.insert(0 if backward else len(found), item)
        del rest[slice(len(rest) - length, None) if backward else slice(length)]
        if isinstance(wanted, Leaf):
            break
    return found if found or isinstance(wanted, Loop) else None


def _last_start(node: Node) -> int:
    return int(_starts(node)[-1])


def _take_in(loop: Loop, match: Match, is_before: bool) -> None:
    """Make matched nodes an iteration of every run of a loop."""
    begins = next(_starts(found[0]) for found, _ in match if found)
    after = loop.starts if is_before else None
    for found, wanted in reversed(match):
        if found:
            after = _starts(found[0])
        elif after is None:
            after = _ends(match)
        _merge(found, wanted, after)
    if is_before:
        loop.starts = begins
    loop.counts = loop.counts + 1


def _ends(match: Match) -> Indices:
    """Return, of each run, a slot after all that was matched."""
    last = next(found[-1] for found, _ in reversed(match) if found)
    return _ends(last.match) if isinstance(last, Iteration) else _ends_of_runs(last)


def _ends_of_runs(node: Node) -> Indices:
    if isinstance(node, Leaf):
        return node.slots + 1
    has_run = node.counts > 0
    ends = node.starts.copy()
    ends[has_run] = _ends_of_runs(node.body[-1])[np.cumsum(node.counts)[has_run] - 1]
    return ends


def _is_alike(one: Node, other: Node) -> bool:
    if isinstance(one, Leaf) or isinstance(other, Leaf):
        return isinstance(one, Leaf) and isinstance(other, Leaf) and one.is_like(other)
    return len(one.body) == len(other.body) and all(map(_is_alike, one.body, other.body))


def _reads_alike(tape: Tape, one: Node, other: Node) -> bool:
    """Whether two loops, or two leaves, are alike and end up reading from as far back."""
    if isinstance(one, Loop) and isinstance(other, Loop):
        bodies = zip(one.body, other.body, strict=False)
        return _is_alike(one, other) and all(_reads_alike(tape, *pair) for pair in bodies)
    if not isinstance(one, Leaf) or not isinstance(other, Leaf) or not _is_alike(one, other):
        return False
    last = [[operand[-1] for operand in operands(tape, leaf)] for leaf in (one, other)]
    reach = [
        nearness(leaf.slots[-1], np.array(o)) for leaf, o in zip((one, other), last, strict=True)
    ]
    return np.array_equal(*reach) and len(set(last[0])) == len(set(last[1]))


def _fits(tape: Tape, one: Leaf, wanted: Leaf, begin: int) -> bool:
    """Whether a record reads as those of a body do; a carried value may begin with a constant.

    `begin` is where the body's last iteration begins.
    """
    if one.n_guards != wanted.n_guards:
        return False
    slots = wanted.slots
    own, others = operands(tape, one), operands(tape, wanted)
    if len(own) == 2 and (own[0][0] == own[1][0]) != (others[0][-1] == others[1][-1]):
        return False
    for mine, theirs in zip(own, others, strict=True):
        reach = nearness(one.slots[0], mine[0])
        first, last = nearness(slots[0], theirs[0]), nearness(slots[-1], theirs[-1])
        is_carried = len(slots) > 1 and slots[-2] <= theirs[-1] < begin
        is_fixed = first == last != FAR
        if reach not in (first, last) and not is_carried and (not reach or not last or is_fixed):
            return False
    return True


def _starts(item: Found) -> Indices:
    """Return the first slot of each run."""
    if isinstance(item, Iteration):
        return next(_starts(found[0]) for found, _ in item.match if found)
    return item.slots if isinstance(item, Leaf) else item.starts


def _merge(items: list[Found], into: Node, starts: Indices) -> None:
    """Have a node of a body stand for others, too; for none, a loop that ran not at all."""
    counts = np.zeros(len(starts), np.int64)
    for item in items:
        if isinstance(item, Iteration):
            counts += 1
            for found, target in item.match:
                _merge(found, target, _starts(found[0]))
        elif isinstance(item, Loop) and isinstance(into, Loop):
            counts += item.counts
            for inner, target in zip(item.body, into.body, strict=True):
                _merge([inner], target, _starts(inner))
        elif isinstance(item, Leaf) and isinstance(into, Leaf):
            into.slots = np.sort(np.concatenate([into.slots, item.slots]), kind="stable")
    if isinstance(into, Loop):
        _add_runs(into, starts, counts)


def _join(into: Loop, other: Loop) -> None:
    """Have a loop stand for the runs of the one after it."""
    for inner, target in zip(other.body, into.body, strict=True):
        _merge([inner], target, _starts(inner))
    into.counts = into.counts + other.counts


def _add_runs(loop: Loop, starts: Indices, counts: Indices) -> None:
    starts = np.concatenate([loop.starts, starts])
    order = np.argsort(starts, kind="stable")
    loop.starts, loop.counts = starts[order], np.concatenate([loop.counts, counts])[order]


MOST_UNROLLED = 128
"""Records that an inner loop may become."""


def unroll(loop: Loop) -> None:
    """Write out the inner loops that always run the same few times."""
    body: list[Node] = []
    for node in loop.body:
        if isinstance(node, Leaf):
            body.append(node)
            continue
        unroll(node)
        count = int(node.counts[0])
        leaves = [inner for inner in node.body if isinstance(inner, Leaf)]
        is_small = len(leaves) == len(node.body) and count * len(leaves) <= MOST_UNROLLED
        if is_small and len(node.counts) > 1 and np.all(node.counts == count):
            body += [
                replace(leaf, slots=leaf.slots[k::count]) for k in range(count) for leaf in leaves
            ]
        else:
            body.append(node)
    loop.body = body
