"""Places of numbers behind code: properties, descriptors, operators, classes, and code itself."""

from __future__ import annotations

from places import REBINDS
from ways import add_ways

BOX = """
class Box:
    def __init__(self, lam=0.1):
        self.lam = lam
        self.lams = [lam]
"""
CONFIG = """
class Config:
    def __init__(self, k=0.1): self._k = k
    @property
    def k(self): return self._k
config = Config()
"""
INNER = """
class Inner:
    def __init__(self, k=0.1): self.k, self.ks = k, np.array([k, 1.0])
class Outer:
    def __init__(self): self._c = Inner()
    @property
    def c(self): return self._c
outer = Outer()
"""
HIDDEN = """
store = {'k': 0.1}
class Hidden:
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return store[name]
hidden = Hidden()
"""
MODEL = """
class Model:
    k = 0.1
    def scale(self): return 0.1
    def __call__(self): return 0.1
    def __add__(self, other): return 0.1
    def __getitem__(self, key): return 0.1
    def __len__(self): return 1
    def __float__(self): return 0.1
    @property
    def rate(self): return 0.1
    @staticmethod
    def fixed(): return 0.1
    @classmethod
    def made(cls): return 0.1
class Derived(Model): pass
model = Derived()
def used(m): return m.scale()
def called(m): return m()
def rated(m): return m.rate
"""


add_ways(
    {
        "property_of_a_global_bound_again": (
            CONFIG, "config.k", "global config; config = Config(value)"),
        "property_of_a_global": (CONFIG, "config.k", "config._k = value"),
        "property_read_by_a_helper": (
            CONFIG + "def helper(c): return c.k\n", "helper(config)", "config._k = value"),
        "object_behind_a_property": (INNER, "outer.c.k", "outer._c.k = value"),
        "array_behind_a_property": (INNER, "outer.c.ks[0]", "outer._c.ks[0] = value"),
        "object_behind_a_property_bound_again": (
            INNER, "outer.c.k", "outer._c = Inner(value)"),
        "owner_of_a_property_bound_again": (
            INNER, "outer.c.k", "global outer; outer = Outer(); outer._c.k = value"),
        "property_that_reads_a_registry": (
            "registry = {'a': types.SimpleNamespace(k=0.1)}\n"
            "class Named:\n    @property\n    def entry(self): return registry['a']\n"
            "named = Named()",
            "named.entry.k", "registry['a'].k = value"),
        "property_that_makes_a_tuple": (
            BOX + "Box.pair = property(lambda self: (self.lam, 1.0))\nbox = Box()",
            "box.pair[0]", "box.lam = value"),
        "property_that_makes_an_object": (
            BOX + "class View:\n    def __init__(self, v): self.v = v\n"
            "Box.view = property(lambda self: View(self.lam))\nbox = Box()",
            "box.view.v", "box.lam = value"),
        "property_of_a_slotted_class": (
            "class Slotted:\n    __slots__ = ('_k',)\n    k = property(lambda self: self._k)\n"
            "slotted = Slotted(); slotted._k = 0.1",
            "slotted.k", "slotted._k = value"),
        "cached_property_cleared": (
            "class Cached:\n    base = 0.1\n    @functools.cached_property\n"
            "    def k(self): return self.base\ncached = Cached(); cached.k",
            "cached.k", "cached.base = value; del cached.k; cached.k"),
        "cached_property_set": (
            "class Cached:\n    @functools.cached_property\n    def k(self): return 0.1\n"
            "cached = Cached(); cached.k",
            "cached.k", "cached.k = value"),
        "getattr_of_a_class": (HIDDEN, "hidden.k", "store['k'] = value"),
        "getattr_of_a_class_used_by_a_helper": (
            HIDDEN + "def helper(h): return h.k\n", "helper(hidden)", "store['k'] = value"),
        "proxy_by_getattr": (
            BOX + "class Proxy:\n    def __init__(self, inner): self._inner = inner\n"
            "    def __getattr__(self, name): return getattr(self._inner, name)\n"
            "box = Box(); proxy = Proxy(box)",
            "proxy.lam", "box.lam = value"),
        "getattribute_of_a_class": (
            "store = {'k': 0.1}\nclass All:\n    def __getattribute__(self, name):\n"
            "        return store[name] if name in store else object.__getattribute__(self, name)\n"
            "everything = All()",
            "everything.k", "store['k'] = value"),
        "getattr_of_a_module": (
            "inner = types.ModuleType('tg_inner'); store = {'k': 0.1}\n"
            "inner.__getattr__ = lambda name: store[name]",
            "inner.k", "store['k'] = value"),
        "descriptor": (
            "class Field:\n    def __init__(self, v): self.v = v\n"
            "    def __get__(self, instance, owner): return self.v\n"
            "class Holder: k = Field(0.1)\nholder = Holder()",
            "holder.k", "vars(Holder)['k'].v = value"),
        "descriptor_that_reads_the_instance": (
            "class Field:\n    def __set_name__(self, owner, name): self.name = '_' + name\n"
            "    def __get__(self, instance, owner): return getattr(instance, self.name)\n"
            "class Holder: k = Field()\nholder = Holder(); holder._k = 0.1",
            "holder.k", "holder._k = value"),
        "weak_reference": (
            BOX + "box = Box(); reference = weakref.ref(box)",
            "reference().lam", "box.lam = value"),
        "weak_proxy": (
            BOX + "box = Box(); proxy = weakref.proxy(box)", "proxy.lam", "box.lam = value"),
        "weak_value_dictionary": (
            BOX + "box = Box(); table = weakref.WeakValueDictionary(a=box)",
            "table['a'].lam", "box.lam = value"),
        "attribute_in_dunder_form": (
            BOX + "def helper(b): return b.__k__\nbox = Box(); box.__k__ = 0.1",
            "helper(box)", "box.__k__ = value"),
        "attribute_with_two_underscores": (
            "class Private:\n    def __init__(self): self.__k = 0.1\n"
            "    def get(self): return self.__k\nprivate = Private()\n"
            "def helper(p): return p.get()",
            "helper(private)", "private._Private__k = value"),
        "slot_with_two_underscores": (
            "class Private:\n    __slots__ = ('__k',)\n"
            "    def __init__(self): self.__k = 0.1\n"
            "    def get(self): return self.__k\nprivate = Private()\n"
            "def helper(p): return p.get()",
            "helper(private)", "private._Private__k = value"),
        "global_in_dunder_form": (
            "__k__ = 0.1\n__k = 0.1", "(__k__ + __k) / 2",
            "global __k__, __k; __k__ = __k = value"),
        "class_attribute_in_dunder_form": (
            "class Own: __k__ = 0.1\ndef helper(o): return o.__k__\nown = Own()",
            "helper(own)", "Own.__k__ = value"),
        "module_attribute_in_dunder_form": (
            "inner = types.ModuleType('tg_inner'); inner.__k__ = 0.1\n"
            "def helper(m): return m.__k__",
            "helper(inner)", "inner.__k__ = value"),
        "dictionary_of_an_object_replaced": (
            BOX + "def helper(b): return b.lam\nbox = Box()",
            "helper(box)", "box.__dict__ = {'lam': value, 'lams': [value]}"),
        "namespace_by_globals": ("k = 0.1", "globals()['k']", "globals()['k'] = value"),
        "namespace_by_eval": ("k = 0.1", "eval('k')", "global k; k = value"),
        "attributes_by_vars": (BOX + "box = Box()", "vars(box)['lam']", "box.lam = value"),
        "attribute_by_attrgetter": (
            BOX + "box = Box(); get = operator.attrgetter('lam')", "get(box)", "box.lam = value"),
        "method_by_methodcaller": (
            BOX + "Box.get = lambda self: self.lam\nbox = Box()\n"
            "call = operator.methodcaller('get')",
            "call(box)", "box.lam = value"),
        "method_by_a_computed_name": (
            BOX + "Box.get_lam = lambda self: self.lam\nbox = Box()\n"
            "def helper(b, kind): return getattr(b, 'get_' + kind)()",
            "helper(box, 'lam')", "box.lam = value"),
        "module_by_sys_modules": (
            "inner = types.ModuleType('tg_by_name'); inner.k = 0.1\n"
            "sys.modules['tg_by_name'] = inner",
            "sys.modules['tg_by_name'].k", "inner.k = value"),
        "metaclass_property": (
            "class Meta(type):\n    @property\n    def k(cls): return cls._k\n"
            "class Own(metaclass=Meta): _k = 0.1",
            "Own.k", "Own._k = value"),
        "metaclass_attribute": (
            "class Meta(type): k = 0.1\nclass Own(metaclass=Meta): pass",
            "Own.k", "Meta.k = value"),
        "member_of_an_enumeration": (
            "class Kind(enum.Enum):\n    A = 0.1\n"
            "    @property\n    def k(self): return self._k\n"
            "Kind.A._k = 0.1",
            "Kind.A.k", "Kind.A._k = value"),
        "singledispatchmethod": (
            "class Own:\n    k = 0.1\n    @functools.singledispatchmethod\n"
            "    def get(self, x): return self.k\nown = Own()",
            "own.get(1)", "own.k = value"),
        "partialmethod": (
            "class Own:\n    def get(self, k, lams): return lams[0]\n"
            "    lams = [0.1]\n    first = functools.partialmethod(get, 1, lams)\nown = Own()",
            "own.first()", "Own.lams[0] = value"),
        "generator_function": (
            "k = 0.1\ndef items():\n    yield k", "next(items())", "global k; k = value"),
        "context_manager_function": (
            "k = 0.1\n@contextlib.contextmanager\ndef scaled(): yield k\n"
            "def helper():\n    with scaled() as value: return value",
            "helper()", "global k; k = value"),
        "data_class_with_a_factory": (
            "default = 0.1\n@dataclasses.dataclass\nclass Own:\n"
            "    k: float = dataclasses.field(default_factory=lambda: default)",
            "Own().k", "global default; default = value"),
        "list_subclass_with_an_attribute": (
            "class Series(list): pass\nseries = Series([1.0]); series.k = 0.1\n"
            "def helper(s): return s.k * s[0]",
            "helper(series)", "series.k = value"),
        "dictionary_subclass_with_missing": (
            "k = 0.1\nclass Table(dict):\n    def __missing__(self, key): return k\n"
            "table = Table()",
            "table['a']", "global k; k = value"),
        "property_of_a_base": (
            CONFIG + "class Derived(Config): pass\nconfig = Derived()",
            "config.k", "config._k = value"),
        "property_through_super": (
            CONFIG + "class Derived(Config):\n    @property\n    def k(self): return super().k\n"
            "config = Derived()",
            "config.k", "config._k = value"),
        "abstract_base": (
            "import abc\nclass Base(abc.ABC):\n    @abc.abstractmethod\n    def get(self): ...\n"
            "class Own(Base):\n    def get(self): return self.k\nown = Own(); own.k = 0.1\n"
            "def helper(o): return o.get()",
            "helper(own)", "own.k = value"),
    }
)  # fmt: skip

REBINDING = {
    "code_of_a_function": (
        "def helper(): return 0.1\ndef returning(v): return eval(f'lambda: {v!r}')", "helper()",
        "helper.__code__ = returning(value).__code__"),
    "code_of_a_function_with_a_default": (
        "def helper(v=0.1): return v", "helper()",
        "helper.__code__ = (lambda v=1: v).__code__; helper.__defaults__ = (value,)"),
    "method_of_a_class": (MODEL, "used(model)", "Model.scale = lambda self: value"),
    "method_of_a_class_by_name": (MODEL, "model.scale()", "Model.scale = lambda self: value"),
    "method_overridden_later": (MODEL, "used(model)", "Derived.scale = lambda self: value"),
    "call_of_a_class": (MODEL, "called(model)", "Model.__call__ = lambda self: value"),
    "call_of_an_object_by_name": (MODEL, "model()", "Model.__call__ = lambda self: value"),
    "operator_of_a_class": (
        MODEL, "model + 1", "Model.__add__ = lambda self, other: value"),
    "subscript_of_a_class": (
        MODEL, "model[0]", "Model.__getitem__ = lambda self, key: value"),
    "conversion_of_a_class": (
        MODEL, "float(model)", "Model.__float__ = lambda self: value"),
    "property_of_a_class_replaced": (
        MODEL, "model.rate", "Model.rate = property(lambda self: value)"),
    "property_of_a_class_replaced_for_a_helper": (
        MODEL, "rated(model)", "Model.rate = property(lambda self: value)"),
    "property_made_an_attribute": (MODEL, "rated(model)", "Model.rate = value"),
    "static_method_replaced": (
        MODEL, "model.fixed()", "Model.fixed = staticmethod(lambda: value)"),
    "class_method_replaced": (
        MODEL, "Model.made()", "Model.made = classmethod(lambda cls: value)"),
    "method_on_the_object": (MODEL, "used(model)", "model.scale = lambda: value"),
    "class_of_an_object": (
        MODEL, "used(model)",
        "model.__class__ = type('Other', (Model,), {'scale': lambda self: value})"),
    "bases_of_a_class": (
        MODEL, "used(model)",
        "Derived.__bases__ = (type('Other', (Model,), {'scale': lambda self: value}),)"),
    "class_bound_again": (
        MODEL, "Model().scale()",
        "global Model; Model = type('Model', (), {'scale': lambda self: value})"),
    "module_alias_bound_again": (
        "inner = types.SimpleNamespace(k=lambda: 0.1)", "inner.k()",
        "global inner; inner = types.SimpleNamespace(k=lambda: value)"),
    "alias_of_numpy_bound_again": (
        "lib = np", "float(lib.float64(1.0)) * (0.1 if lib is np else lib.k)",
        "global lib; lib = types.SimpleNamespace(float64=float, k=value)"),
    "function_of_a_module_replaced": (
        "inner = types.ModuleType('tg_inner'); inner.get = lambda: 0.1", "inner.get()",
        "inner.get = lambda: value"),
    "registered_in_a_singledispatch": (
        "@functools.singledispatch\ndef get(x): return 0.1", "get(1)",
        "get.register(int, lambda x: value)"),
    "registered_in_a_table": (
        "table = {}\ndef register(g): table['a'] = g\nregister(lambda: 0.1)", "table['a']()",
        "register(lambda: value)"),
    "callable_in_a_frozenset": (
        "functions = frozenset([lambda: 0.1])", "next(iter(functions))()",
        "global functions; functions = frozenset([lambda: value])"),
    "default_factory": (
        "table = collections.defaultdict(lambda: 0.1)", "table.copy()['a']",
        "table.default_factory = lambda: value"),
    "comparison_key": (
        "def larger(a, b): return 1\nkey = functools.cmp_to_key(larger)\nk = 0.1",
        "k if sorted([2, 1], key=key) else 0.0",
        "global k, key; k = value; key = functools.cmp_to_key(lambda a, b: 1)"),
    "getter_of_a_property": (
        "class Own:\n    k = property(lambda self: 0.1)\nown = Own()", "own.k",
        "Own.k = Own.k.getter(lambda self: value)"),
    "wrapped_function_of_a_cache": (
        "@functools.lru_cache\ndef get(): return 0.1", "get()",
        "global get; get = functools.lru_cache(lambda: value)"),
    "init_of_a_class": (
        "class Own:\n    def __init__(self): self.k = 0.1", "Own().k",
        "Own.__init__ = lambda self: setattr(self, 'k', value)"),
    "new_of_a_class": (
        "class Own:\n    k = 0.1\n    def __new__(cls): return object.__new__(cls)", "Own().k",
        "def new(cls):\n    own = object.__new__(cls); own.k = value; return own\n"
        "Own.__new__ = new"),
}  # fmt: skip
add_ways(REBINDING, REBINDING)
REBINDS.update(
    ["property_of_a_global_bound_again", "object_behind_a_property_bound_again",
     "owner_of_a_property_bound_again", "dictionary_of_an_object_replaced"]
)  # fmt: skip
