"""Places of numbers in objects of libraries: tables, sparse matrices, iterators, C data."""

from __future__ import annotations

from ways import add_ways

add_ways(
    {
        "mapping_proxy": (
            "store = {'k': 0.1}; proxy = types.MappingProxyType(store)",
            "proxy['k']", "store['k'] = value"),
        "view_of_values": (
            "store = {'k': 0.1}; view = store.values()", "next(iter(view))", "store['k'] = value"),
        "view_of_items": (
            "store = {'k': 0.1}; view = store.items()", "next(iter(view))[1]",
            "store['k'] = value"),
        "view_of_keys": (
            "store = {0.1: 'k'}; view = store.keys()", "next(iter(view))",
            "store.clear(); store[value] = 'k'"),
        "bound_method_of_a_list": (
            "held = [0.1]; get = held.__getitem__", "get(0)", "held[0] = value"),
        "bound_method_of_a_dictionary": (
            "held = {'k': 0.1}; get = held.get", "get('k')", "held['k'] = value"),
        "bound_method_of_an_array": (
            "held = np.array([0.1]); get = held.item", "get(0)", "held[0] = value"),
        "operator_of_a_list": (
            "held = [0.1]; get = held.__iter__", "next(get())", "held[0] = value"),
        "chain_map": (
            "held = {'k': 0.1}; chain = collections.ChainMap({}, held)",
            "chain['k']", "held['k'] = value"),
        "counter": (
            "held = collections.Counter(k=0.1)", "held['k']", "held['k'] = value"),
        "user_list": (
            "held = collections.UserList([0.1])", "held[0]", "held[0] = value"),
        "named_tuple_of_a_list": (
            "Pair = collections.namedtuple('Pair', 'a b'); held = Pair([0.1], 1)",
            "held.a[0]", "held.a[0] = value"),
        "list_in_a_partial": (
            "held = [0.1]; get = functools.partial(lambda v: v[0], held)",
            "get()", "held[0] = value"),
        "itemgetter_of_a_list": (
            "held = [0.1]; get = operator.itemgetter(0)", "get(held)", "held[0] = value"),
        "vectorized_function": (
            "k = 0.1\nget = np.vectorize(lambda v: k * v)", "float(get(1.0))",
            "global k; k = value"),
        "array_view": (
            "base = np.array([0.1, 1.0]); held = base[:1]", "held[0]", "base[0] = value"),
        "transposed_array": (
            "base = np.full((60, 70), 0.1); held = base.T", "held[3, 2]", "base[2, 3] = value"),
        "large_strided_array": (
            "base = np.full(4000, 0.1); held = base[::3]", "held[7]", "base[21] = value"),
        "array_with_nan": (
            "held = np.full(1000, np.nan); held[1] = 0.1", "held[1]", "held[1] = value"),
        "masked_array": (
            "held = np.ma.array([0.1, 2.0], mask=[False, True])", "float(held[0])",
            "held[0] = value"),
        "record_array": (
            "held = np.rec.array([(0.1, 1)], dtype=[('k', float), ('n', int)])",
            "float(held.k[0])", "held.k[0] = value"),
        "polynomial": (
            "held = np.poly1d([0.1])", "float(held.coeffs[0])", "held.coeffs[0] = value"),
        "polynomial_of_numpy": (
            "held = np.polynomial.Polynomial([0.1])", "float(held.coef[0])",
            "held.coef[0] = value"),
        "array_array": (
            "import array\nheld = array.array('d', [0.1])", "held[0]", "held[0] = value"),
        "memory_view": (
            "base = bytearray(np.float64(0.1).tobytes()); held = memoryview(base)",
            "float(np.frombuffer(held, float)[0])", "held[:] = np.float64(value).tobytes()"),
        "ctypes_number": (
            "held = ctypes.c_double(0.1)", "held.value", "held.value = value"),
        "ctypes_array": (
            "held = (ctypes.c_double * 2)(0.1, 1.0)", "held[0]", "held[0] = value"),
        "ctypes_structure": (
            "class Pair(ctypes.Structure): _fields_ = [('k', ctypes.c_double)]\nheld = Pair(0.1)",
            "held.k", "held.k = value"),
        "ctypes_pointer": (
            "base = ctypes.c_double(0.1); held = ctypes.pointer(base)",
            "held.contents.value", "base.value = value"),
        "closure_cell": (
            "def make():\n    k = 0.1\n    return lambda: k\ncell = make().__closure__[0]",
            "cell.cell_contents", "cell.cell_contents = value"),
        "context_variable": (
            "import contextvars\nheld = contextvars.ContextVar('k', default=0.1); held.set(0.1)",
            "held.get()", "held.set(value)"),
        "thread_local": (
            "held = threading.local(); held.k = 0.1", "held.k", "held.k = value"),
        "thread_local_given_to_a_helper": (
            "held = threading.local(); held.k = 0.1\ndef helper(h): return h.k",
            "helper(held)", "held.k = value"),
        "environment_variable": (
            "import os\nos.environ['TG_K'] = '0.1'", "float(os.environ['TG_K'])",
            "os.environ['TG_K'] = repr(value)"),
        "queue": (
            "import queue\nheld = queue.Queue(); held.put(0.1)", "held.queue[0]",
            "held.queue[0] = value"),
        "simple_namespace_in_a_frozen_data_class": (
            "@dataclasses.dataclass(frozen=True)\nclass Own: inner: object\n"
            "own = Own(types.SimpleNamespace(k=0.1))",
            "own.inner.k", "own.inner.k = value"),
        "interpolator": (
            "import scipy.interpolate\n"
            "held = scipy.interpolate.PchipInterpolator([0.0, 1.0], [0.1, 0.1])",
            "float(held.c[-1, 0])", "held.c[-1, 0] = value"),
        "sparse_matrix": (
            "import scipy.sparse\nheld = scipy.sparse.csr_matrix(np.array([[0.1, 0.0]]))",
            "held[0, 0]", "held.data[0] = value"),
        "sparse_array_of_coordinates": (
            "import scipy.sparse\nheld = scipy.sparse.coo_array(np.array([[0.1, 0.0]]))",
            "held.data[0]", "held.data[0] = value"),
        "sparse_dictionary_of_keys": (
            "import scipy.sparse\nheld = scipy.sparse.dok_array((2, 2)); held[0, 0] = 0.1",
            "held[0, 0]", "held[0, 0] = value"),
        "data_frame": (
            "import pandas\nheld = pandas.DataFrame({'k': [0.1, 1.0]})",
            "float(held['k'].iloc[0])", "held.loc[0, 'k'] = value"),
        "data_frame_read_by_attribute": (
            "import pandas\nheld = pandas.DataFrame({'k': [0.1, 1.0]})",
            "float(held.k.iloc[0])", "held.loc[0, 'k'] = value"),
        "series": (
            "import pandas\nheld = pandas.Series([0.1, 1.0])", "float(held.iloc[0])",
            "held.iloc[0] = value"),
        "series_in_an_object": (
            "import pandas\nheld = types.SimpleNamespace(s=pandas.Series([0.1, 1.0]))",
            "float(held.s.mean() * 2.0 - 1.0)", "held.s.iloc[0] = value"),
        "typed_list": (
            "import numba\nheld = numba.typed.List([0.1])", "held[0]", "held[0] = value"),
        "typed_dictionary": (
            "import numba\nheld = numba.typed.Dict(); held['k'] = 0.1", "held['k']",
            "held['k'] = value"),
        "weak_set": (
            "class Own: pass\nown = Own(); own.k = 0.1; held = weakref.WeakSet([own])",
            "next(iter(held)).k", "own.k = value"),
        "frozen_distribution": (
            "import scipy.stats\nheld = scipy.stats.norm(0.1, 1.0)", "float(held.mean())",
            "held.args = (value, 1.0)"),
        "exception_with_arguments": (
            "held = ValueError(0.1)", "held.args[0]", "held.args = (value,)"),
        "lazily_joined_iterables": (
            "held = [0.1]; get = lambda: next(itertools.chain([], held))",
            "get()", "held[0] = value"),
    }
)  # fmt: skip

REBINDING = {
    "iterator_bound_again": (
        "box = [0.1]; held = iter([1.0])", "held.__length_hint__() * box[0]",
        "global held; held = iter([1.0]); box[0] = value"),
    "text_in_memory": (
        "import io\nheld = io.StringIO('0.1')", "float(held.getvalue())",
        "held.seek(0); held.truncate(); held.write(repr(value))"),
}  # fmt: skip
add_ways(REBINDING, REBINDING)
