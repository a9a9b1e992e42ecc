"""The generator: a program drawn from a seed.

Expressions are forms of the vocabulary with their places filled; statements keep to a scope that
knows what is bound, so that every program runs. What is bound within a block is forgotten after it;
names bound before may be bound again there, to the same kind.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from fuzz import vocabulary
from fuzz.programs import Line, Program
from fuzz.vocabulary import Form

DEPTH = 3
SCIPY_SHARE = 2
"""How often a form that calls SciPy is among the others, in programs that do."""
PREFACE = [
    "XS, YS = np.array([-2.0, -0.5, 0.5, 2.0]), np.array([0.3, -1.0, 0.8, 0.1])",
    "EYE = np.eye(2)",
]
SCIPY_PREFACE = [
    "from scipy import linalg, special, stats",
    "from scipy.spatial import distance",
    "from scipy.spatial.transform import Rotation",
    "TURN = Rotation.from_rotvec([0.3, -0.2, 0.5])",
]
PLAIN = {"s": ["x[{k}]"], "a": ["x"], "m": ["x[:4].reshape(2, 2)"], "l": ["[{s}, {c}, {s}]"]}
"""What an expression comes down to in the end."""


class Generator:
    """Draws one program.

    Parameters
    ----------
    seed : int
    is_compilable, is_analytic : bool
        What the program must keep to.
    calls_scipy : bool
        Whether it calls SciPy, too.
    """

    def __init__(self, seed: int, is_compilable: bool, is_analytic: bool,
                 calls_scipy: bool = False) -> None:  # fmt: skip
        self.random = random.Random(seed)
        self.is_compilable, self.is_analytic = is_compilable, is_analytic
        self.calls_scipy = calls_scipy
        self.size = self.random.randint(4, 6)
        self.known: dict[str, list[str]] = {kind: [] for kind in "samlj"}
        self._count = 0
        self._forms = {
            kind: [form for form in forms if self._is_allowed(form)] + SCIPY_SHARE * (
                vocabulary.SCIPY.get(kind, []) if calls_scipy else []
            )
            for kind, forms in (
                ("s", vocabulary.SCALARS), ("a", vocabulary.ARRAYS), ("m", vocabulary.MATRICES),
                ("l", vocabulary.LISTS), ("b", vocabulary.CONDITIONS),
            )
        }  # fmt: skip

    def _is_allowed(self, form: Form) -> bool:
        if self.is_analytic and not form.is_analytic:
            return False
        return form.is_compilable or not self.is_compilable

    def program(self) -> Program:
        """Return the program."""
        helpers = self._helpers()
        body = self._block(self.random.randint(4, 9), depth=0)
        f = ("def f(x):", [*body, self._result()])
        preface = [*PREFACE, *(SCIPY_PREFACE if self.calls_scipy else [])]
        lines = [*preface, f"N = {self.size}", *helpers, "@compiled", f]
        return Program(lines, self.size, self.is_analytic, self.is_compilable)

    # --- expressions --------------------------------------------------------------------------

    def draw(self, kind: str, depth: int = 0) -> str:
        """Return an expression of a kind."""
        known = self.known.get(kind, [])
        if known and self.random.random() < 0.35 + 0.2 * depth:
            return self.random.choice(known)
        forms = self._forms[kind]
        if depth >= DEPTH or not forms:
            forms = [Form(text) for text in PLAIN.get(kind, ["x[0] > 0.5"])]
        return self._filled(self.random.choice(forms).text, depth + 1)

    def _filled(self, form: str, depth: int) -> str:
        return re.sub(r"\{(\w+)\}", lambda place: self._place(place[1], depth), form)

    def _place(self, name: str, depth: int) -> str:
        if name in "samlb":
            text = self.draw(name, depth)
            return f"({text})" if self._needs_brackets(text) else text
        return self._small(name, depth)

    @staticmethod
    def _needs_brackets(text: str) -> bool:
        return not re.fullmatch(r"[\w.]+(\[[\w:-]*\])?|np\.\w+\([^()]*\)", text)

    def _small(self, name: str, depth: int) -> str:
        pick = self.random
        if name == "c":
            return pick.choice(vocabulary.NUMBERS)
        if name == "k":
            return str(pick.randrange(3))
        if name in ("j", "bit"):
            return str(pick.randrange(2))
        if name == "n":
            return str(self.size)
        if name == "i":
            inside = self.draw("s", depth)
            choices = [f"int(3.0 * abs({inside})) % {self.size}"]
            choices += [f"({place} + 1) % {self.size}" for place in self.known["j"]]
            return pick.choice(choices)
        assert name == "half"
        elements = [pick.choice(["{s}", "{c}", "0.0", "x[{k}]"]) for _ in range(self.size)]
        return ", ".join(self._filled(element, depth + 1) for element in elements)

    # --- statements ---------------------------------------------------------------------------

    def _block(self, count: int, depth: int) -> list[Line]:
        """Return some statements; what they bind is forgotten unless it's the function's own."""
        before = {kind: list(names) for kind, names in self.known.items()}
        lines = [line for _ in range(count) for line in self._statement(depth)]
        if depth:
            self.known = before
        return lines

    def _statement(self, depth: int) -> list[Line]:
        kinds: list[tuple[int, Callable[[int], list[Line]]]] = [
            (5, self._bind), (4, self._store), (4, self._augment)
        ]  # fmt: skip
        if depth < 3:
            kinds += [(3, self._for)]
            if not self.is_analytic:
                kinds += [(3, self._if), (1, self._while)]
        if depth == 0:
            kinds += [(1, self._closure)]
            if not self.is_compilable and not self.is_analytic:
                kinds += [(2, self._containers)]
        weights = [weight for weight, _ in kinds]
        return self.random.choices([make for _, make in kinds], weights)[0](depth)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{ {'s': 'v', 'a': 'a', 'm': 'm', 'l': 'l', 'j': 'i'}[kind] }{self._count}"

    def _bounded(self, kind: str) -> str:
        """Return an expression whose values stay small, most of the time."""
        text = self.draw(kind)
        return f"np.tanh({text})" if kind in "sam" and self.random.random() < 0.5 else text

    def _bind(self, depth: int) -> list[Line]:
        kinds = "ssaam" if self.is_compilable or self.is_analytic else "ssaaml"
        kind = self.random.choice(kinds)
        text = self._bounded(kind)
        again = [name for name in self.known[kind] if re.fullmatch(r"\w+", name)]
        if again and depth and kind != "l":
            return [f"{self.random.choice(again)} = {self._copied(kind, text)}"]
        name = self._name(kind)
        self.known[kind].append(name)
        return [f"{name} = {self._copied(kind, text)}"]

    def _copied(self, kind: str, text: str) -> str:
        """Return an array that may be stored into: now and then it's another's, too."""
        is_plain = re.fullmatch(r"\w+", text)
        if kind in "am" and (is_plain or self.random.random() < 0.7 or self.is_compilable):
            return f"({text}).copy()"
        return f"({text}) * 1.0" if kind == "s" and self.is_compilable else text

    def _own(self, kind: str) -> list[str]:
        return [name for name in self.known[kind] if re.fullmatch(r"[am]\d+", name)]

    def _store(self, depth: int) -> list[Line]:
        own = self._own("a")
        if not own:
            name = self._name("a")
            self.known["a"].append(name)
            zeros = "np.zeros_like(x)" if self.is_analytic else f"np.zeros({self.size})"
            return [f"{name} = {zeros}"]
        a, sign = self.random.choice(own), self.random.choice(["=", "+=", "-=", "*="])
        forms = [f"{a}[{{k}}] {sign} {{s}}", f"{a}[1:3] {sign} {{a}}[:2]",
                 f"{a}[::2] {sign} {{s}}", f"{a}[-1] {sign} {{s}}"]  # fmt: skip
        forms += [f"{a}[{place} % {self.size}] {sign} {{s}}" for place in self.known["j"]] * 2
        if not self.is_analytic:
            forms += [f"{a}[{{i}}] {sign} {{s}}", f"{a}[{a} > {{s}}] = {{s}}"]
        if not self.is_compilable:
            forms += [f"{a}[{a} > {{c}}] {sign} {{s}}", f"{a}[:2], {a}[2] = {{a}}[1:3], {{s}}",
                      f"{a}[[0, 2]] {sign} {{a}}[[1, 0]]"]  # fmt: skip
            forms += [f"{m}[{{j}}] {sign} {{s}}" for m in self._own("m")]
            forms += [f"{m}[:, {{j}}] {sign} {{m}}[{{j}}]" for m in self._own("m")]
        return [self._filled(self.random.choice(forms), 1)]

    def _augment(self, depth: int) -> list[Line]:
        own = [name for name in self.known["s"] if re.fullmatch(r"v\d+", name)]
        if not own:
            line = f"{(name := self._name('s'))} = {self._filled('0.5 * {s}', 1)}"
            self.known["s"].append(name)
            return [line]
        form = self.random.choice(["{v} += {s}", "{v} -= 0.5 * {s}", "{v} = np.tanh({v} + {s})",
                                   "{v} *= np.cos({s})"])  # fmt: skip
        return [self._filled(form.replace("{v}", self.random.choice(own)), 1)]

    def _for(self, depth: int) -> list[Line]:
        place = self._name("j")
        outer = self.known["j"]
        counts = [str(self.random.randint(1, 5)), str(self.size), f"1, {self.size}"]
        counts += [f"{name} + 1" for name in outer] * 2
        header = f"for {place} in range({self.random.choice(counts)}):"
        self.known["j"].append(place)
        self.known["s"].append(f"x[{place} % {self.size}]")
        body = self._block(self.random.randint(1, 3), depth + 1)
        if not self.is_analytic and self.random.random() < 0.2:
            leave = self.random.choice(["break", "continue"])
            body.insert(self.random.randint(0, len(body)), (self._test("if"), [leave]))
        self.known["j"].remove(place)
        self.known["s"].remove(f"x[{place} % {self.size}]")
        return [(header, body)]

    def _test(self, word: str) -> str:
        return f"{word} {self.draw('b', 1)}:"

    def _if(self, depth: int) -> list[Line]:
        lines: list[Line] = [(self._test("if"), self._block(self.random.randint(1, 2), depth + 1))]
        if self.random.random() < 0.3:
            lines.append((self._test("elif"), self._block(1, depth + 1)))
        if self.random.random() < 0.5:
            lines.append(("else:", self._block(1, depth + 1)))
        return lines

    def _while(self, depth: int) -> list[Line]:
        name, count = self._name("s"), self._name("j")
        start = [f"{name} = {self._filled('0.5 * {s}', 1)}", f"{count} = 0"]
        self.known["s"].append(name)
        step = self._filled(f"{name} = 0.8 * {name} + 0.3 * np.cos({{s}})", 1)
        body = [step, f"{count} += 1", *self._block(1, depth + 1)]
        bound = self._filled("{c}", 1)
        return [*start, (f"while {name} < {bound} and {count} < 6:", body)]

    def _closure(self, depth: int) -> list[Line]:
        argument, number = self._filled("0.3 * {s}", 1), self._name("s")
        function = f"g{number[1:]}"
        if self.is_compilable or self.random.random() < 0.5:
            inner: Line = (f"def {function}(t):", [f"return {self._filled('t * np.cos({s})', 2)}"])
        else:
            header = f"def {function}(t, c={self._filled('{s}', 1)}):"
            inner = (header, [f"return c * t + {self._filled('{s}', 2)}"])
        self.known["s"].append(number)
        return [inner, f"{number} = {function}({argument})"]

    def _containers(self, depth: int) -> list[Line]:
        first, second, table = self._name("s"), self._name("s"), self._name("l")
        kind = self.random.randrange(4)
        if kind == 0:
            lines = [f"{table} = {{{{'a': {{s}}, 'b': {{s}}}}}}", f"{table}['a'] += {{s}}",
                     f"{first}, {second} = {table}.values()"]  # fmt: skip
        elif kind == 1:
            lines = [
                f"{first}, {second} = ({{s}}, {{s}})",
                f"{first}, {second} = {second}, {first}",
            ]
        elif kind == 2:
            lines = [f"{table} = [{{s}}]", f"{table}.append({{s}})", f"{table}.extend({{l}})",
                     f"{first} = {table}.pop()",
                     f"{second} = {table}[{{j}}] + {first}"]  # fmt: skip
        else:
            lines = [f"{first} = [u * w for u, w in zip({{a}}, {{l}})][0]",
                     f"{second} = max(enumerate({{l}}), key=lambda t: t[1])[1]"]  # fmt: skip
        filled = [self._filled(line, 1).replace("{{", "{").replace("}}", "}") for line in lines]
        self.known["s"] += [first, second]
        if kind == 2:
            self.known["l"].append(table)
        return filled

    # --- the frame ----------------------------------------------------------------------------

    def _helpers(self) -> list[Line]:
        """Return a function of two numbers, and one that calls itself."""
        outside = self.known
        self.known = {**{kind: [] for kind in outside}, "s": ["p", "q"]}
        branch = self.draw("b", 2).replace("x[0]", "p")
        forms = [form.text for form in self._forms["s"] if set(re.findall(r"\{(\w+)", form.text))
                 <= {"s", "c"} and not form.text.startswith(("h0", "r0"))]  # fmt: skip
        first, second = (
            re.sub(r"\{(\w)\}", lambda place: self.random.choice(["p", "q"]) if place[1] == "s"
                   else self.random.choice(vocabulary.NUMBERS), self.random.choice(forms))
            for _ in range(2)
        )  # fmt: skip
        body: list[Line] = [f"return {first} + 0.5 * {second}"]
        if not self.is_analytic and "x" not in branch and "XS" not in branch:
            body.insert(0, ("if p > q:", [f"return {second}"]))
        self.known = outside
        again = "return np.tanh(p) * r0(0.7 * p + 0.1, k - 1) + 0.2 * p"
        return [
            "@compiled", ("def h0(p, q):", body),
            "@compiled", ("def r0(p, k):", [("if k <= 0:", ["return p"]), again]),
        ]  # fmt: skip

    def _result(self) -> str:
        terms = [f"np.sum({name})" for name in self.known["a"] + self.known["m"]]
        terms += [name for name in self.known["s"] if re.fullmatch(r"\w+", name)]
        if not self.is_compilable:
            terms += [f"sum({name})" for name in self.known["l"]]
        weighted = [f"{0.3 + 0.1 * (k % 7):.1f} * {term}" for k, term in enumerate(terms)]
        return "return " + (" + ".join(weighted) or "x[0] * x[1]")


def program(seed: int) -> Program:
    """Return the program of a seed; one in 16 is for Numba too, one in five is analytic.

    Of the others every third calls SciPy.
    """
    is_compilable, is_analytic = seed % 16 == 0, seed % 5 == 1
    calls_scipy = seed % 3 == 2 and not is_compilable and not is_analytic
    return Generator(seed, is_compilable, is_analytic, calls_scipy).program()
