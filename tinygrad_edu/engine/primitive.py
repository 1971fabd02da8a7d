"""What a row of the table is, and what a language must implement so that rows can run in it.

A `Primitive` is one row: a function on floats, and for each argument a rule, the partial derivative
written with operators and other rows only.  A *language* is a type of operands that rules run on:
floats, Values (which build a graph), names (which build text), registers (machine code).  The
operators of `Operand`, the base class of languages, run rows, so the same rule runs in each::

    >>> from tinygrad_edu.engine.table import div
    >>> from tinygrad_edu.symbolic.formulas import Name
    >>> rule = div.partials[1]  # lambda x, y, o: -(o / y)
    >>> rule(6.0, 2.0, 3.0)
    -1.5
    >>> print(rule(Name("x"), Name("y"), Name("o")))
    -(o / y)

The rows themselves are defined in `table`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from importlib import import_module
from math import inf, nan
from typing import Any, ClassVar

from ..errors import PrimitiveError, counted, number, one_line, short_repr

Rule = Callable[..., Any]
Interval = tuple[float, float]
REALS: tuple[Interval, ...] = ((-inf, inf),)
POSITIVE: tuple[Interval, ...] = ((0.0, inf),)
COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(eq=False, repr=False, slots=True)
class Primitive:
    """One row of the table.  It can be called in every language.

    ``sin(0.5)`` is a float, ``sin(Value(0.5))`` is a new node of the graph, and ``sin(Name("x"))``
    is the text ``sin(x)``.  `table.define` makes a row and adds it to the table.

    name: the ``op`` of the nodes, and the name in `math` and `parse`.
    forward: a function from floats to a float.  It returns inf or nan instead of raising; write it
        with this package's `math`, because the standard one raises.
    partials: one rule for each argument, called with the arguments and the output.
    limits: for each argument, a rule ``limit(*args, o, d)`` that replaces d where it is inf or nan.
    symbol, precedence, associativity: how an operator is printed.
    parameters: the names of the arguments, by default ``"x y z"``.
    defaults: the values of the last arguments, if they may be omitted.
    domain: a condition on the arguments, written like a rule: where the result is a finite real.
    sample: for each argument, the intervals from which tests draw it.
    piece: for functions with kinks, the smooth piece that the floats ``args`` lie in (`gradcheck`).
        Where the output is nan, there is none, and every partial is nan, whatever the rule gives.
    specials: arguments at an edge or kink, mapped to the partials expected there (for tests).
    spelling: the expression that is printed for a row that computes it more accurately.
    textbook: for each argument, the partial as courses write it, which is printed instead.
    expansion: an expression of other rows with the bits of ``forward``, for compilers.
    library: the function or operator of C with the bits of ``forward``, such as "exp" or "+".
    note: one line for readers, the last line of `formula`.
    module: the module whose import defines the row, by default the one that calls `define`.  Other
        processes import it for what was pickled there.  It is `PACKAGE` for a row of this package.
    """

    at_edges: ClassVar[type[Any]]  # `table.Ieee`: where a rule of floats would raise

    name: str
    forward: Callable[..., float]
    partials: tuple[Rule, ...]
    _: KW_ONLY
    limits: tuple[Rule, ...] = ()
    symbol: str = ""
    precedence: int = 0
    associativity: str = "left"
    parameters: tuple[str, ...] = ()
    defaults: tuple[float, ...] = ()
    domain: Rule | None = None
    sample: tuple[tuple[Interval, ...], ...] = ()
    piece: Rule | None = None
    specials: Mapping[tuple[float, ...], tuple[float, ...]] = field(default_factory=dict)
    spelling: Rule | None = None
    textbook: tuple[Rule, ...] = ()
    expansion: Rule | None = None
    library: str = ""
    note: str = ""
    module: str = ""

    def __post_init__(self) -> None:
        self.parameters = self.parameters or ("x", "y", "z")[: self.arity]
        if len(self.parameters) != self.arity:
            raise ValueError(
                f"{self.name}: parameters must be {self.arity} names, not {self.parameters}; "
                "give one name for each rule"
            )
        self.sample = self.sample or (REALS,) * self.arity

    @property
    def arity(self) -> int:
        """The number of arguments, including those with defaults."""
        return len(self.partials)

    def __call__(self, *args: Any) -> Any:
        if len(args) != len(self.partials):
            args = self._with_defaults(args)
        for arg in args:
            if arg.__class__ is not float:
                return self._dispatch(args)
        return self.forward(*args)

    def _with_defaults(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        missing = self.arity - len(args)
        if not 0 < missing <= len(self.defaults):
            raise TypeError(
                f"{self.name}({', '.join(self.parameters)}) was called with "
                f"{counted(len(args), 'argument')}; it takes {self.arity}"
            )
        return args + self.defaults[len(self.defaults) - missing:]

    def _dispatch(self, args: tuple[Any, ...]) -> Any:
        """Runs the row in the language of the first argument that has one, else on floats."""
        for arg in args:
            apply = getattr(type(arg), "apply_primitive", None)
            if apply is not None:
                return apply(self, args)
        return self.forward(*[
            arg if arg.__class__ is float else number(arg, f"argument {name} of {self.name}")
            for name, arg in zip(self.parameters, args)
        ])

    def partial_at(self, i: int, args: tuple[float, ...], out: float) -> float:
        """Returns d(output)/d(argument ``i``) at the floats ``args``, with ``out`` the output.

        Never raises: at the edge of the domain the result is inf or nan.
        """
        try:
            d = self.partials[i](*args, out)
        except (ArithmeticError, TypeError):
            d = 0j  # handled like (-8.0) ** 0.5, which is complex, and which rows reject
        if d.__class__ is complex:
            d = self.partials[i](*map(self.at_edges, (*args, out)))
        d = float(d)
        is_regular = -inf < d < inf and (out == out or self.piece is None)
        return d if is_regular else self.limit_at(i, args, out, d)

    def limit_at(self, i: int, args: tuple[float, ...], out: float, d: float) -> float:
        """Returns the partial to use where ``out`` is nan or the rule gives ``d``, inf or nan."""
        if out != out and self.piece is not None:
            d = nan
        return float(self.limits[i](*args, out, d)) if self.limits else d

    def __repr__(self) -> str:
        return f"<primitive {self.name}({', '.join(self.parameters)})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.name, self.module)


TABLE: dict[str, Primitive] = {}  # the rows by name, in the order of their definition
listeners: list[Callable[[Primitive], None]] = []  # each is called with every new row


def lookup(name: str, module: str = "") -> Primitive:
    """Returns the row of that name, of that module if one is given.

    Raises:
        PrimitiveError: the table has no such row; see `require_rows`.
    """
    if module := module or _missing.get(name, ""):
        require_rows([(name, module)])
    try:
        return TABLE[name]
    except KeyError:
        raise PrimitiveError(
            f"no primitive {name!r} in the table; import the module that defines it"
        ) from None


# ---- rows in other processes ---------------------------------------------------------------------

# A pickle names the rows that it uses, each with its module.  The process that reads it has the
# same rows of this package, and gets others by importing their modules.  If it cannot, reading does
# not raise, because a worker that cannot read its task ends, or is asked again for ever, and the
# program never sees why.  The first use of the row raises.

PACKAGE = __name__.partition(".")[0]
MAIN = "__main__"
_missing: dict[str, str] = {}  # the modules of rows that pickles use and this process does not have


def rows_of(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Returns the name and the module of each row among ``names``, sorted."""
    pairs = [(name, _missing.get(name) or TABLE[name].module)
             for name in {*names} if name in TABLE or name in _missing]
    return tuple(sorted(pairs))


def require_rows(pairs: Iterable[tuple[str, str]]) -> None:
    """Imports the modules of rows that this process does not have.

    pairs: what `rows_of` returned, maybe in another process.

    Raises:
        PrimitiveError: a row is missing all the same, or there is another one of the same name.
    """
    for name, module in pairs:
        if not _is_from(name, module):
            _import_row(name, module)
        if _missing.get(name) == module:
            _missing.pop(name, None)  # another thread may have done so


def expect_rows(pairs: Iterable[tuple[str, str]]) -> None:
    """Does what `require_rows` does, but only the first `lookup` of a missing row raises."""
    for name, module in pairs:
        try:
            require_rows([(name, module)])
        except PrimitiveError:
            _missing[name] = module


def reduced(names: Iterable[str], make: Callable[..., Any], *args: Any) -> tuple[Any, ...]:
    """Returns what ``__reduce__`` returns for an object that is ``make(*args)``.

    names: the rows that the object uses, which are imported before it is made.
    """
    return _made, (rows_of(names), make, *args)


def _made(pairs: Iterable[tuple[str, str]], make: Callable[..., Any], *args: Any) -> Any:
    expect_rows(pairs)
    return make(*args)


def _arrived(name: str, module: str) -> Primitive | MissingRow:
    """Returns the row of a pickle."""
    expect_rows([(name, module)])
    return TABLE[name] if _is_from(name, module) else MissingRow(name, module)


@dataclass(frozen=True)
class MissingRow:
    """A row in a process that does not have it: calling it raises PrimitiveError."""

    name: str
    module: str

    def __call__(self, *args: Any) -> Any:
        return lookup(self.name, self.module)(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.name, self.module)


def _is_from(name: str, module: str) -> bool:
    return name in TABLE and TABLE[name].module == module


def _import_row(name: str, module: str) -> None:
    """Imports the module of a row; raises PrimitiveError if this does not define the row."""
    what = f"primitive {name!r} of module {module}"
    if module == MAIN:
        raise PrimitiveError(
            f"primitive {name!r} was defined by the program or notebook itself, which this process "
            "did not run; define it in a module of its own, such as rows.py, that the workers can "
            "import"
        )
    try:
        import_module(module)
    except Exception as error:  # a module may raise anything
        raise PrimitiveError(
            f"{what} is missing, because the import of {module} raised {type(error).__name__}: "
            f"{one_line(error)}; put the module where this process can import it"
        ) from error
    if _is_from(name, module):
        return
    if name in TABLE:
        raise PrimitiveError(
            f"{what} must not be replaced by the one of module {TABLE[name].module}, which has the "
            "same name here; choose another name for one of them"
        )
    raise PrimitiveError(
        f"{what} is missing, because the import of {module} does not define it; call define at the "
        "top level of the module, not in a function"
    )


# ---- languages -----------------------------------------------------------------------------------


def _operator(name: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """Returns the method of a binary operator, which runs a row, and its reflected method."""

    def method(self: Any, y: Any) -> Any:
        return self.apply_primitive(TABLE[name], (self, y))

    def reflected(self: Any, x: Any) -> Any:
        return self.apply_primitive(TABLE[name], (x, self))

    return method, reflected


def _comparison(symbol: str) -> Callable[[Any, Any], Any]:
    return lambda self, y: self.compare(symbol, y)


class Operand:
    """Base class of a language: operators run rows.  A subclass says how to run a row, by
    `apply_primitive`, and how to `compare`."""

    __slots__ = ()

    @staticmethod
    def apply_primitive(primitive: Primitive, args: tuple[Any, ...]) -> Any:
        """Runs ``primitive`` on ``args`` in this language."""
        raise TypeError(f"{primitive.name} is not defined for {short_repr(args)}")

    def compare(self, symbol: str, y: Any) -> Any:
        """Returns the condition ``self < y`` for `where`; ``symbol`` is <, <=, > or >=."""
        raise TypeError(f"{symbol} is not defined for {short_repr(self)}")

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("sub")
    __mul__, __rmul__ = _operator("mul")
    __truediv__, __rtruediv__ = _operator("div")
    __floordiv__, __rfloordiv__ = _operator("floordiv")
    __mod__, __rmod__ = _operator("remainder")
    __pow__, __rpow__ = _operator("pow")
    __lt__ = _comparison("<")
    __le__ = _comparison("<=")
    __gt__ = _comparison(">")
    __ge__ = _comparison(">=")

    def __neg__(self) -> Any:
        return self.apply_primitive(TABLE["neg"], (self,))

    def __abs__(self) -> Any:
        return self.apply_primitive(TABLE["abs"], (self,))
