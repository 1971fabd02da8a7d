"""The exception tree: it is as drawn in its docstring, and errors can be caught by family or as
built-in exceptions."""

import inspect
import math
import re
from fractions import Fraction

import numpy as np
import pytest

from tinygrad_edu import Value, errors, gradients, parse
from tinygrad_edu.engine.primitive import lookup
from tinygrad_edu.errors import check_choice, check_int, check_number, short_repr

CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and cls.__module__ == errors.__name__
    and issubclass(cls, Exception) and not issubclass(cls, Warning)
}


def drawn_tree():
    """Returns ``{name: (base, other base or None)}`` as the module's docstring draws it."""
    tree, path = {}, []
    for line in errors.__doc__.splitlines():
        match = re.match(
            r"    ((?:[|` ]  +|\|-- |`-- )*)(\w+)(?:  .*?(?:\(also an? (\w+)\))?)?$", line
        )
        if not match or not match[2].endswith("Error"):
            continue
        depth = len(match[1]) // 4
        path[depth:] = [match[2]]
        tree[match[2]] = (path[depth - 1] if depth else "Exception", match[3])
    return tree


def test_error_classes_form_the_documented_tree():
    tree = drawn_tree()
    assert set(tree) == set(CLASSES)
    assert len(tree) >= 8
    for name, (base, other) in tree.items():
        assert [b.__name__ for b in CLASSES[name].__bases__] == [base] + ([other] if other else [])


@pytest.mark.parametrize("name", list(CLASSES))
def test_every_error_is_documented_and_caught_by_the_base(name):
    assert inspect.getdoc(CLASSES[name])
    with pytest.raises(errors.TinygradEduError, match="the message"):
        raise CLASSES[name]("the message")


def test_every_warning_is_documented():
    warnings = {
        name for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, Warning) and cls.__module__ == errors.__name__
    }
    assert warnings == {"GradientWarning", "GraphWarning", "TrainingWarning"}
    assert all(f"`{name}`" in errors.__doc__ for name in warnings)


def message_of(text):
    with pytest.raises(errors.ExpressionError) as caught:
        parse(text)
    return caught.value


def test_one_line_of_an_error_names_the_place_of_the_caret():
    assert message_of("2 * foo(3)").args[0].count("\n") == 2
    assert errors.one_line(message_of("2 * foo(3)")).endswith(" at 'foo(3)'")
    assert errors.one_line(message_of("2 *")).endswith(" after '2 *'")
    assert errors.one_line(ValueError("the first line\nthe second")) == "the first line"
    assert errors.one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_power_written_with_a_caret_is_rejected_with_a_remedy():
    assert str(message_of("2 ^ 3")).startswith(
        "^ is not part of the language; a power is written x**y"
    )


def stale():
    x = Value(2.0)
    y = x * x
    x.data = 3.0
    gradients(y, [x])


@pytest.mark.parametrize(("act", "error", "builtin"), [
    (stale, errors.StaleGraphError, Exception),
    (stale, errors.GraphError, Exception),
    (lambda: parse("x +"), errors.ExpressionError, ValueError),
    (lambda: lookup("nothing"), errors.TinygradEduError, Exception),
])
def test_errors_are_raised_as_documented(act, error, builtin):
    with pytest.raises(error) as caught:
        act()
    assert isinstance(caught.value, builtin)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8])
def test_check_int_accepts_every_kind_of_whole_number(kind):
    n = check_int(kind(3), "f: n", 3)
    assert n == 3
    assert type(n) is int


@pytest.mark.parametrize(("x", "error", "message"), [
    (2, ValueError, "f: n must be a whole number >= 3, not 2; pass more"),
    (3.0, TypeError, "f: n must be a whole number, not float (3.0); pass more"),
    (True, TypeError, "f: n must be a whole number, not bool (True); pass more"),
    ("3", TypeError, "f: n must be a whole number, not str ('3'); pass more"),
    ("9" * 99, TypeError, f"f: n must be a whole number, not str ('{'9' * 36}...); pass more"),
    (np.ones(1), TypeError, "f: n must be a whole number, not ndarray (array([1.])); pass more"),
])
def test_check_int_rejects_other_things_and_small_numbers(x, error, message):
    with pytest.raises(error) as raised:
        check_int(x, "f: n", 3, "pass more")
    assert str(raised.value) == message


@pytest.mark.parametrize("kind", [int, float, np.float32, Fraction])
def test_check_number_accepts_every_kind_of_finite_number(kind):
    x = check_number(kind(3), "f: x", 3, below=4)
    assert x == 3.0
    assert type(x) is float
    assert check_number(-1e308, "f: x") == -1e308


@pytest.mark.parametrize(("x", "bounds", "message"), [
    (math.inf, {}, "f: x must be finite, not inf; pass less"),
    (-math.inf, {}, "f: x must be finite, not -inf; pass less"),
    (math.nan, {}, "f: x must be finite, not nan; pass less"),
    (-1, {"least": 0}, "f: x must be a finite number >= 0, not -1.0; pass less"),
    (math.inf, {"least": 0}, "f: x must be a finite number >= 0, not inf; pass less"),
    (1, {"least": 0, "below": 1}, "f: x must be a number >= 0 and < 1, not 1.0; pass less"),
    (2, {"below": 1, "wanted": "small"}, "f: x must be small, not 2.0; pass less"),
])
def test_check_number_rejects_infinities_and_numbers_outside_the_bounds(x, bounds, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_number(x, "f: x", remedy="pass less", **bounds)


def test_check_int_names_both_bounds():
    message = re.escape("f: n must be a whole number from 1 to 1,000, not 1001")
    with pytest.raises(ValueError, match=message):
        check_int(1001, "f: n", 1, most=1000)
    assert check_int(1000, "f: n", 1, most=1000) == 1000


def test_check_choice_shows_the_choices_for_objects_of_any_kind():
    for wrong in ("c", None, [], {}, np.ones(3)):
        with pytest.raises(ValueError, match=r"^f: x must be 'a' or 'b', not "):
            check_choice(wrong, "f: x", ["a", "b"])
    check_choice("a", "f: x", ["a", "b"])


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(("x", "text"), [
    (10**400, "an int of 1329 bits"),
    (test_check_int_names_both_bounds, "<function test_check_int_names_both_b..."),
    (lambda: 0, "<function <lambda>>"),
    (Unprintable(), "<Unprintable without a repr>"),
    (np.eye(2), "array([[1., 0.], [0., 1.]])"),
])
def test_short_repr_has_one_line_without_addresses(x, text):
    assert short_repr(x) == text


def test_short_repr_looks_at_the_beginning_only():
    shown = []

    class Entry:
        def __repr__(self):
            shown.append(self)
            return "e"

    assert short_repr([Entry()] * 1_000).startswith("[e, e, e")
    assert len(shown) < 30
