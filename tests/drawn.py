"""A drawing's text for Graphviz, read back; a line it doesn't understand is an error."""

import re

import tapegrad as tg

NODE = re.compile(r"^ *([vcyg]\d+) \[label=(<.*?>|\".*?\"), (shape=.*)\];$")
EDGE = re.compile(r"^ *([vcyg]\d+) -> ([vcyg]\d+) \[(.*)\];$")
KNOWN = re.compile(r"^ *(digraph tape \{|subgraph cluster_\d+_\d+ \{|(graph|node|edge) \[.*\];"
                   r"|label=\".*\";|\}|)$")  # fmt: skip
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'", "&amp;": "&"}


class Parsed:
    """The nodes' lines of text and styles, and the edges, of a graph in Graphviz's language."""

    def __init__(self, drawing):
        self.labels, self.styles, self.edges = {}, {}, []
        depth = 0
        for line in drawing.to_dot().split("\n"):
            node, edge = NODE.match(line), EDGE.match(line)
            if node:
                name, label, self.styles[node[1]] = node.groups()
                assert name not in self.labels, "declared twice"
                self.labels[name] = _texts(label)
            elif edge:
                self.edges.append(edge.groups())
            else:
                assert KNOWN.match(line), line
            depth += line.endswith("{") - (line.strip() == "}")
            assert depth >= 0
        assert depth == 0
        for source, target, _ in self.edges:
            assert source in self.labels
            assert target in self.labels

    def titles(self, kind=""):
        """Titles of the nodes whose name begins with a letter, in order."""
        return [lines[0] for name, lines in self.labels.items() if name.startswith(kind)]

    def named(self, title):
        """The only node with a title."""
        (name,) = [name for name, lines in self.labels.items() if lines[0] == title]
        return name

    def into(self, name):
        return [(source, attributes) for source, target, attributes in self.edges if target == name]

    def folds(self):
        return [lines for lines in self.labels.values() if lines[0].startswith("⋯")]


def _texts(label):
    lines = []
    rows = re.findall(r"<TR><TD>(.*?)</TD></TR>", label)
    for line in rows or [label[1:-1]]:
        assert line.count("<") == line.count(">") == len(re.findall(r"</?(?:B|I|FONT)[ >]", line))
        text = re.sub(r"<[^>]*>", "", line)
        for entity, character in ENTITIES.items():
            text = text.replace(entity, character)
        lines.append(text)
    return lines


def parsed(function, *args, **options):
    return Parsed(tg.draw(function, *args, **options))


def tape_of(function, *args):
    derivative = tg.value_and_grad(function)
    derivative(*args)
    return derivative.recorded.recordings[0].tape
