"""Machine code: every row of the table against its forward function and derivatives, bit for bit,
in every way of running it."""

import ctypes
import doctest
import itertools
import math as std
import random
from array import array
from contextlib import contextmanager

import pytest
from helpers import SPECIAL, bits, inf, points, replaced, scaled
from programs import WAYS, gradient_tape, value_tape

from tinygrad_edu import Value, jit, math
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.engine.table import define
from tinygrad_edu.errors import TinygradEduError
from tinygrad_edu.jit.languages import emitter, llvm, tape_machine
from tinygrad_edu.jit.parallel.batched import CompiledBatch
from tinygrad_edu.jit.running import callbacks, machine, straight_line
from tinygrad_edu.jit.running.backend import Kernel
from tinygrad_edu.jit.running.memory import AlignedBuffer, pointers
from tinygrad_edu.jit.running.straight_line import Batch
from tinygrad_edu.jit.running.sums import BlockSums
from tinygrad_edu.jit.tape import gradient
from tinygrad_edu.jit.tracing import record_trace

ROWS = list(TABLE.values())
every_row = pytest.mark.parametrize("row", ROWS, ids=list(TABLE))
every_way = pytest.mark.parametrize("way", WAYS)
EDGES = (*SPECIAL, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, 1e-310, 1e-8, 20.0, -40.0, 700.0, 710.0, -745.0)


def arguments(row, count):
    """Yields arguments of a row: all pairs of special numbers, and log-spread and moderate ones,
    inside its domain or not."""
    rng = random.Random(f"{row.name} compiled")
    if row.arity < 3:
        yield from itertools.product(EDGES, repeat=row.arity)
    else:
        yield from (rng.choices(EDGES, k=row.arity) for _ in range(600))
    yield from points(row, count)
    for _ in range(count):
        yield [rng.choice((-1, 1)) * 10 ** rng.uniform(-12, 4) for _ in range(row.arity)]
        yield [rng.uniform(-8, 8) for _ in range(row.arity)]


def tape_of(row):
    return value_tape(lambda *xs: row(*xs), *row.parameters)


def disagreement(row, run, at):
    """THE CHECKER: returns a sentence about the first arguments at which ``run`` differs from the
    forward function, or None."""
    for args in at:
        want, (got,) = row.forward(*args), run(args)
        if bits(want) != bits(got):
            return f"{row.name}{tuple(args)} is {want!r}, not {got!r}"
    return None


@every_way
@every_row
def test_a_row_gives_the_bits_of_its_forward_function(row, way):
    count = scaled(400, 5000) if way == "compiled" else scaled(100, 2000)
    assert disagreement(row, WAYS[way](tape_of(row)), arguments(row, count)) is None


def run_batch(made, varying, uniform, columns):
    """Returns the outputs of a tape for columns in place of the ``varying`` inputs."""
    shared, moving = iter(uniform), iter(columns)
    inputs = [array("d", next(moving)) if i in varying else next(shared)
              for i in range(len(made.names))]
    return columns_of(CompiledBatch(Kernel(made), varying, []), inputs, len(columns[0]))


def columns_of(batch, inputs, count):
    """Returns the columns that a batch computes."""
    results = [array("d", bytes(8 * count)) for _ in batch.columns]
    assert batch.run(inputs, results, count) == []
    return results


def disagreement_of_columns(row, at, varying):
    """THE CHECKER for columns; an operand that is not ``varying`` is taken from the first
    arguments."""
    uniform = [x for i, x in enumerate(at[0]) if i not in varying]
    columns = [[args[i] for args in at] for i in varying]
    (results,) = run_batch(tape_of(row), varying, uniform, columns)
    found = iter(results)
    return disagreement(row, lambda args: [next(found)], at)


@every_row
def test_a_row_of_columns_gives_the_bits_of_its_forward_function(row):
    assert (
        disagreement_of_columns(row, [*arguments(row, scaled(150, 3000))], range(row.arity)) is None
    )


@pytest.mark.parametrize("row", [row for row in ROWS if row.arity == 2], ids=lambda row: row.name)
@pytest.mark.parametrize("fixed", [0, 1], ids=["x", "y"])
def test_a_column_and_a_number_give_the_bits_of_the_forward_function(row, fixed):
    for x in (0.0, -1.5, 2.0, inf):
        assert (
            disagreement_of_columns(
                row, [(x, y) if fixed == 0 else (y, x) for y in EDGES], [1 - fixed]
            )
            is None
        )


@pytest.mark.parametrize("row", [row for row in ROWS if row.arity == 2], ids=lambda row: row.name)
def test_row_of_a_known_number_gives_the_bits_of_its_forward_function(row):
    trace, results = record_trace(
        lambda x: [[row(x, k) for k in EDGES], [row(k, x) for k in EDGES]],
        ["x"],
        lambda values: (values, {}),
    )
    made = gradient.value(trace, [trace.operand(result) for part in results for result in part])
    columns = run_batch(made, [0], [], [EDGES])
    compiled = straight_line.Scalar(made)
    for i, x in enumerate(EDGES):
        want = list(
            map(bits, [*[row.forward(x, k) for k in EDGES], *[row.forward(k, x) for k in EDGES]])
        )
        assert list(map(bits, compiled([x]))) == want
        assert [bits(column[i]) for column in columns] == want


def test_a_power_whose_exponent_is_known_is_differentiated_without_logarithms():
    made, _ = gradient_tape(lambda x: x ** 2, "x")
    text = llvm.scalar(made).text()
    # x ** 2 itself; x ** 1 is x
    assert (text.count("call double @tg_pow"), "tg_log" in text) == (1, False)
    for x in EDGES:
        assert list(map(bits, straight_line.Scalar(made)([x]))) == list(
            map(bits, eager_gradient(lambda x: x**2, [x]))
        )


def eager_gradient(row, args):
    xs = [Value(x) for x in args]
    y = row(*xs)
    y.backward()
    return [y.data, *[x.grad for x in xs]]


@every_row
def test_derivatives_of_a_row_have_the_bits_of_the_eager_engine(row):
    made, _ = gradient_tape(lambda *xs: row(*xs), *row.parameters)
    runs = {way: WAYS[way](made) for way in WAYS}
    for args in itertools.chain(
        itertools.product(SPECIAL, repeat=row.arity) if row.arity < 3 else (),
        points(row, scaled(40, 1000)),
        points(row, scaled(40, 1000), wide=False),
    ):
        want = list(map(bits, eager_gradient(row, args)))
        for way, run in runs.items():
            assert list(map(bits, run(args))) == want, (
                f"{way}: {row.name}{args}: {run(args)}, not {eager_gradient(row, args)}"
            )


def test_every_row_is_compiled():
    # Python's own rounding, to decimals
    called_back = [name for name, row in TABLE.items() if not emitter.is_native(row)]
    assert called_back == ["round_digits"], "give the others an expansion, or a function of C"


# ---- the checker is checked

SUBTLE = {
    "fabs": "sqrt",
    "sqrt": "fabs",
    "floor": "trunc",
    "ceil": "trunc",
    "trunc": "floor",
    "rint": "round",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
}


def wrong_library(row):
    """Another function or operator of C with as many arguments."""
    if row.library in SUBTLE and row is not TABLE["neg"]:
        return SUBTLE[row.library]
    if row.arity == 2:
        return "remainder" if row.library == "fmod" else "fmod"
    return "exp" if row.library == "expm1" else "expm1"


def nudged(expansion):
    return lambda *xs: expansion(*xs) * (1 + 2.0**-52)


PLANTED = [
    *[
        (row, "library", wrong_library(row))
        for row in TABLE.values()
        if row.library not in ("", "?:")
    ],
    *[
        (row, "expansion", nudged(row.expansion))
        for row in TABLE.values()
        if row.expansion and row.name != "identity"
    ],
]


@pytest.mark.parametrize(("row", "field", "wrong"), PLANTED, ids=[row.name for row, *_ in PLANTED])
def test_wrong_machine_code_is_detected(row, field, wrong):
    at = [*arguments(row, 20)]
    with replaced(row, field, wrong):
        assert disagreement(row, straight_line.Scalar(tape_of(row)), at) is not None
        assert disagreement_of_columns(row, at, range(row.arity)) is not None


def test_wrong_tape_machine_is_detected():
    with replaced(math.softplus, "expansion", nudged(math.softplus.expansion)), a_new_machine():
        assert (
            disagreement(
                math.softplus, machine.Machine(tape_of(math.softplus)), arguments(math.softplus, 20)
            )
            is not None
        )
        assert (
            disagreement(
                math.sigmoid, machine.Machine(tape_of(math.sigmoid)), arguments(math.sigmoid, 20)
            )
            is None
        )


@contextmanager
def a_new_machine():
    """Compiles the tape machine again within this context, and once more after it."""
    machine._machine_code.cache_clear()
    try:
        yield
    finally:
        machine._machine_code.cache_clear()


def test_expansion_that_branches_on_a_number_is_rejected():
    branching = replaced(math.relu, "expansion", lambda x: x if x > 0 else 0.0)
    with branching, pytest.raises(
        TypeError,
        match=r"asks for the truth of a number in machine code; it must choose by where\(\)",
    ):
        straight_line.Scalar(tape_of(math.relu))


def test_function_missing_from_the_c_library_is_named_in_the_error():
    with pytest.raises(TinygradEduError, match="the C library has no function 'no_such_function'"):
        callbacks.library_address("no_such_function")


# ---- user-defined rows


@contextmanager
def user_defined_row(name, *args, **fields):
    kept = TABLE.get(name)
    try:
        yield define(name, *args, replace=kept is not None, **fields)
    finally:
        if kept is None:
            del TABLE[name]
        else:
            TABLE[name] = kept


def mixed(x, y, z):
    return std.fsum([x, y * 0.1, z * z])


def with_mixed(row):
    return lambda x, y: math.tanh(row(x, y, 2.0)) * row(y, y, x) + x


@every_way
def test_user_defined_row_is_called_back(way):
    calls = []

    def forward(x, y, z):
        calls.append((x, y, z))
        return mixed(x, y, z)

    with user_defined_row(
        "mixed", forward, lambda x, y, z, o: 1.0, lambda x, y, z, o: 0.1, lambda x, y, z, o: 2 * z
    ) as row:
        f = with_mixed(row)
        made, _ = gradient_tape(f, "x", "y")
        run = WAYS[way](made)
        calls.clear()
        for x, y in ((0.3, -0.7), (1e300, 2.0), (-0.0, 5e-324)):
            xs = [Value(x), Value(y)]
            f(*xs).backward()
            calls.clear()
            value, *slopes = run([x, y])
            assert calls == [(x, y, 2.0), (y, y, x)]
            assert list(map(bits, [value, *slopes])) == list(
                map(bits, [f(x, y), xs[0].grad, xs[1].grad])
            )


def test_user_defined_row_is_called_back_for_every_sample():
    with user_defined_row("mixed", mixed, *[lambda x, y, z, o: 1.0] * 3) as row:
        f = with_mixed(row)
        xs = [k / 7 for k in range(9)]
        (results,) = run_batch(value_tape(f, "x", "y"), [0], [0.5], [xs])
        assert results.tolist() == [f(x, 0.5) for x in xs]


def refuse(x):
    raise LookupError(f"no {x:g}")


@every_way
def test_exception_in_a_user_defined_row_reaches_the_caller(way):
    with user_defined_row("refuses", refuse, lambda x, o: 1.0) as row:
        run = WAYS[way](value_tape(lambda x: row(x) + 1.0, "x"))
        with pytest.raises(LookupError, match="no 2"):
            run([2.0])


def test_exception_in_a_user_defined_row_reaches_the_caller_of_a_batch():
    with (
        user_defined_row("refuses", refuse, lambda x, o: 1.0) as row,
        pytest.raises(LookupError, match="no 2"),
    ):
        run_batch(value_tape(lambda x: row(x) + 1.0, "x"), [0], [], [[2.0] * 5])


@every_way
def test_replaced_row_is_compiled_as_the_new_one(way):
    with user_defined_row("sinh", lambda x: x + 0.25, lambda x, o: 3.0) as row:
        made, _ = gradient_tape(row, "x")
        assert WAYS[way](made)([0.5]) == [0.75, 3.0]
    made, _ = gradient_tape(math.sinh, "x")
    assert WAYS[way](made)([0.5]) == [std.sinh(0.5), std.cosh(0.5)]


@every_way
def test_replacing_a_row_changes_no_other_row(way):
    """Forward functions call no rows, so softplus keeps its exponential function."""
    with user_defined_row("exp", lambda x: 2 * x, lambda x, o: 2.0), a_new_machine():
        assert (
            disagreement(
                math.softplus, WAYS[way](tape_of(math.softplus)), arguments(math.softplus, 20)
            )
            is None
        )
    assert disagreement(math.exp, WAYS[way](tape_of(math.exp)), arguments(math.exp, 20)) is None


# ---- what a compiler may not do


@every_way
def test_products_are_rounded_before_they_are_added(way):
    x = 1 + 2.0**-30
    assert x * x - (1 + 2.0**-29) == 0.0  # with a single rounding it would be 2**-60
    for f in (
        lambda x, y: x * x - y,
        lambda x, y: x * x + -y,
        lambda x, y: math.sumprod([x, y], [x, -1.0]),
    ):
        assert WAYS[way](value_tape(f, "x", "y"))([x, 1 + 2.0**-29]) == [0.0]


@every_way
@pytest.mark.parametrize(("f", "xs"), [
    (lambda x, y: (x + y) - x, (1e16, 1.0)),
    (lambda x, y: (x + y) + -x, (1e16, 1.0)),
    (lambda x, y: x * y / y, (1e-300, 1e-20)),
    (lambda x, y: x / y * y, (1.0, 49.0)),
    (lambda x, y: x - x + y, (inf, 1.0)),
    (lambda x, y: x * 0.0 + y, (-inf, 1.0)),
    (lambda x, y: x * 0.0, (-1.0, 0.0)),
    (lambda x, y: x + 0.0, (-0.0, 0.0)),
    (lambda x, y: x - 0.0, (-0.0, 0.0)),
    (lambda x, y: 0.0 - x, (0.0, 0.0)),
    (lambda x, y: x ** 2.0, (1e-160, 0.0)),
    (lambda x, y: x ** 0.5, (-0.0, 0.0)),
    (lambda x, y: math.exp(math.log(x)), (3.0, 0.0)),
    (lambda x, y: -(x - y), (1.0, 1.0)),
    (lambda x, y: (x + 1.0) + 1.0, (2.0**53, 0.0)),
])
def test_arithmetic_is_not_reordered(f, xs, way):
    assert bits(WAYS[way](value_tape(f, "x", "y"))(xs)[0]) == bits(float(f(*map(Value, xs))))


@every_way
def test_long_programs_are_compiled(way):
    def f(x, y):
        for k in range(scaled(600, 3000)):
            x, y = math.sin(x * y) + k, x
        return x

    assert WAYS[way](value_tape(f, "x", "y"))([0.3, 1.7]) == [f(0.3, 1.7)]


@every_way
def test_wrong_index_of_a_take_is_reported_once(way):
    run = WAYS[way](value_tape(lambda i, x: math.take([x, 2 * x, 7.0], i), "i", "x"))
    for wrong in (
        -1.0,
        3.0,
        0.5,
        1e300,
        -1e300,
        inf,
        -inf,
        std.nan,
        2.0**32,
        2.0**32 + 1,
        -0.5,
        2.0**53,
    ):
        with pytest.raises(IndexError, match="take: "):
            run([wrong, 1.0])
        assert [run([i, 5.0]) for i in (0.0, -0.0, 1.0, 2.0)] == [[5.0], [5.0], [10.0], [7.0]]


def test_a_wrong_index_is_reported_with_the_number_of_entries():
    made = value_tape(lambda i, x: math.take([x, 2 * x, 7.0], i), "i", "x")
    for way in WAYS.values():
        with pytest.raises(
            IndexError, match=r"^take: index 4\.5 of 3 entries; it must be a whole number, 0 to 2$"
        ):
            way(made)([4.5, 1.0])
    inputs, outputs = array("d", [4.5, 1.0]), array("d", [0.0])
    with pytest.raises(IndexError, match=r"^take: index 4\.5 of 3 entries"):
        straight_line.Scalar(made).fill(inputs.buffer_info()[0], outputs.buffer_info()[0])
    batch = CompiledBatch(Kernel(made), [0], [])
    for indices in ([0.0, 1.0, 4.5, 2.0, 0.0], [0.0] * 4 + [3.0], [-1.0]):
        with pytest.raises(
            IndexError, match=r"^take: the index of every sample must be a whole number, 0 to 2"
        ):
            columns_of(batch, [array("d", indices), 1.0], len(indices))
    assert columns_of(batch, [array("d", [0.0, 1.0, -0.0, 2.0, 0.0]), 5.0], 5)[0].tolist() == [
        5.0,
        10.0,
        5.0,
        7.0,
        5.0,
    ]


def many(count, entry):
    """Returns a function that takes one of so many entries, made by ``entry`` of x and x0, x1, ...,
    and the names of its arguments."""
    names = [f"x{k}" for k in range(2 * count)]
    return (lambda i, x, *xs: math.take([entry(k, x, xs) for k in range(count)], i) * x), [
        "i",
        "x",
        *names,
    ]


TABLES = {
    "constants": lambda k, x, xs: k / 7,
    "inputs": lambda k, x, xs: xs[k],
    "every second input": lambda k, x, xs: xs[2 * k],
    "inputs from behind": lambda k, x, xs: xs[-1 - k],
    "one input": lambda k, x, xs: xs[0],
    "inputs in disorder": lambda k, x, xs: xs[k * k % len(xs)],
    "results": lambda k, x, xs: math.sin(xs[k] * x),
    "results of uniform numbers": lambda k, x, xs: xs[k] * xs[k + 1],
    "conditions": lambda k, x, xs: xs[k] < x,
    "all sorts": lambda k, x, xs: (k / 7, xs[k], x, xs[k] * x, xs[k] * xs[0])[k % 5],
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("count", [1, 2, 5, 37])
def test_the_entries_of_a_take_may_be_anything(table, count):
    f, names = many(count, TABLES[table])
    rng = random.Random(7)
    x, *xs = [rng.uniform(-1, 1) for _ in names[1:]]
    made, _ = gradient_tape(f, *names)
    runs = [way(made) for way in WAYS.values()]
    for i in range(count):
        values = [Value(number) for number in (float(i), x, *xs)]
        y = f(*values)
        y.backward()
        want = list(map(bits, [y.data, *[value.grad for value in values]]))
        for run in runs:
            assert list(map(bits, run([float(i), x, *xs]))) == want
    made = value_tape(f, *names)
    indices, column = [float(i) for i in range(count)], [x + k for k in range(count)]
    want = [float(f(i, x, *xs)) for i, x in zip(indices, column)]
    (found,) = run_batch(made, [0, 1], xs, [indices, column])
    assert list(map(bits, found)) == list(map(bits, want))
    (found,) = run_batch(made, [1], [indices[-1], *xs], [column])  # the index is the same for all
    assert list(map(bits, found)) == [bits(float(f(indices[-1], x, *xs))) for x in column]


@pytest.mark.parametrize("table", ["constants", "inputs", "every second input"])
def test_take_of_entries_in_memory_adds_no_code(table):
    few, many_ = [llvm.scalar(value_tape(f, *names)).text().count("\n") for f, names in
                  (many(count, TABLES[table]) for count in (50, 500))]
    assert few == many_


def test_tape_machine_forgets_a_wrong_index_when_a_row_raises():
    with user_defined_row("refuses", lambda x: refuse(x) if x > 1 else x, lambda x, o: 1.0) as row:
        run = machine.Machine(value_tape(lambda i, x: math.take([x, 2 * x], i) + row(x), "i", "x"))
        with pytest.raises(LookupError, match="no 2"):
            run([7.0, 2.0])
        assert run([1.0, 0.5]) == [1.5]


def mixture(x, y):
    """Computes with short instructions of several kinds in mixed order."""
    pool, rng = [x, y], random.Random(5)
    for _ in range(3 * machine.WINDOW):
        a, b = pool[-1 - rng.randrange(min(40, len(pool)))], pool[rng.randrange(len(pool))]
        kinds = [
            lambda a, b: a * b + 0.25,
            lambda a, b: math.sin(a) - b,
            lambda a, b: math.where(a < b, a, -b),
            math.maximum,
        ]
        pool.append(rng.choice(kinds)(a, b))
    return math.total(pool)


def test_tape_machine_groups_instructions_by_operation():
    made = value_tape(mixture, "x", "y")
    order = machine.order(made)
    assert sorted(order) == list(range(len(made))) != order
    done = set(range(made.first))
    for i in order:
        assert done.issuperset(made.operands[made.starts[i]:made.starts[i + 1]])
        done.add(made.first + i)
    changes = sum(made.ops[i] != made.ops[j] for i, j in itertools.pairwise(order))
    assert changes < 0.4 * sum(made.ops[i] != made.ops[i + 1] for i in range(len(made) - 1))
    assert machine.Machine(made)([0.3, -0.7]) == made.run([0.3, -0.7]) == [mixture(0.3, -0.7)]


@every_way
def test_programs_may_return_arguments_constants_and_repeated_results(way):
    trace, results = record_trace(
        lambda x, y: [y, 3.0, x < y, x * y, x * y, -0.0, y], ["x", "y"], lambda values: (values, {})
    )
    run = WAYS[way](gradient.value(trace, [trace.operand(result) for result in results]))
    assert list(map(bits, run([2.0, 5.0]))) == list(
        map(bits, [5.0, 3.0, 1.0, 10.0, 10.0, -0.0, 5.0])
    )


def test_module_examples_run_as_printed():
    assert doctest.testmod(llvm).failed == 0


# ---- rows with an expansion


@pytest.fixture
def cube_row():
    """A row that a program defines, with an expansion, and one that uses it."""
    third = define(
        "third_power_for_test",
        None,
        lambda x, o: 3 * math.square(x),
        expansion=lambda x: x * x * x,
    )
    define(
        "odd_for_test",
        None,
        lambda x, o: 1 + third(x) * 0 + math.cos(x),
        expansion=lambda x: third(x) / third(x) + math.sin(x),
    )
    yield TABLE["odd_for_test"]
    del TABLE["third_power_for_test"], TABLE["odd_for_test"]


def test_row_with_an_expansion_is_compiled_without_callbacks(cube_row):
    made = tape_of(cube_row)
    assert llvm.scalar(made).rows == []
    expanded = gradient.expanded(made, tape_machine.is_case)
    assert machine.encoded(expanded)[2] == []  # the rows that are called back
    for run in (straight_line.Scalar(made), machine.Machine(made)):
        for x in (0.5, -2.0, 0.0, inf):
            assert bits(run([x])[0]) == bits(cube_row(x))


def test_row_without_an_expansion_is_called_back():
    row = define("called_for_test", lambda x: x * 2, lambda x, o: 2.0)
    try:
        assert llvm.scalar(tape_of(row)).rows == ["called_for_test"]
        assert machine.Machine(tape_of(row))([4.0]) == [8.0]
    finally:
        del TABLE["called_for_test"]


def test_expansion_that_branches_is_rejected_when_it_is_defined():
    with pytest.raises(TypeError, match="the expansion of branch_for_test cannot be used: it asks"):
        define(
            "branch_for_test", None, lambda x, o: 1.0, expansion=lambda x: x if x > 0 else 0.0
        )
    assert "branch_for_test" not in TABLE


# ---- sums over blocks


def test_rows_of_whole_blocks_end_where_the_last_block_ends():
    batch = Batch(jit(lambda x: [x * x, x, 2 * x, -x]).tape(1.0), [0], [0, 1, 2, 3])
    column = AlignedBuffer(128)
    column.write(0, [float(i) for i in range(128)])
    sums = BlockSums(4, rows=2)
    sums.totals[8] = -0.0  # behind the rows: adding anything would change its sign
    ends = [pointers([column.address]), pointers([])]
    memory = [AlignedBuffer(batch.slots), AlignedBuffer(batch.scratch), AlignedBuffer(1)]
    uniform, scratch, error = [buffer.address for buffer in memory]
    sums.run(batch, [uniform, *map(ctypes.addressof, ends), scratch], 32, error)
    sums.close()
    wanted = [[sum(i * i for i in block), sum(block), 2 * sum(block), -sum(block)]
              for block in (range(64), range(64, 128))]
    assert sums.totals.read(0, 8) == [*wanted[0], *wanted[1]]
    assert bits(sums.totals[8]) == bits(-0.0)


def test_each_block_of_single_samples_has_a_row():
    numbers = AlignedBuffer(2)
    sums = BlockSums(2, rows=3)
    for block in range(3):
        for lane in range(4):
            numbers.write(0, [float(block), 10.0 ** lane])
            sums.put(numbers.address, 2, lane)
        sums.close()
    rows = array("d", sums.rows)
    assert rows.tolist() == [0.0, 1111.0, 4.0, 1111.0, 8.0, 1111.0]
    totals = BlockSums(2)
    totals.add_bytes(sums.rows)
    assert totals.totals.read(0, 2) == [12.0, 3333.0]
