"""Functions to compile: random ones that do everything a traced function may do, their tapes, and
every way to run a tape."""

import functools
import math as std
import operator
import random

from tinygrad_edu import Value, math, nn
from tinygrad_edu.engine.primitive import TABLE
from tinygrad_edu.jit.running import machine, straight_line
from tinygrad_edu.jit.tape import gradient
from tinygrad_edu.jit.tracing import record_trace

WAYS = {
    "compiled": straight_line.Scalar,
    "tape machine": machine.Machine,
    "replayed": lambda made: made.run,
}


def traced(f, *names):
    """Returns the trace of a function of so many numbers, and its result: a node or a number."""
    trace, result = record_trace(f, names, lambda values: (values, {}))
    return trace, trace.operand(result)


def value_tape(f, *names):
    """Returns the tape of a function from so many numbers to one."""
    trace, result = traced(f, *names)
    return gradient.value(trace, [result])


def gradient_tape(f, *names):
    """Returns the tape with derivatives with respect to the arguments, then the parameters; and the
    parameters."""
    trace, result = traced(f, *names)
    wanted = [i for i in gradient.sources(trace) if trace.nodes[i][0] == "input"]
    wanted += [i for i in gradient.sources(trace) if trace.nodes[i][0] == "parameter"]
    return gradient.value_and_gradient(trace, result, wanted), trace


def inputs(trace, xs):
    """Returns the inputs of a tape of that trace for these arguments, with random draws made."""
    read = {
        "input": lambda k: xs[k],
        "parameter": lambda k: trace.parameters[k].data,
        "draw": lambda k: trace.draws[k](),
    }
    return [read[op](*args) for op, args in trace.nodes if op in read]


# ---- random programs -----------------------------------------------------------------------------

CONSTANTS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.7, std.inf, -std.inf, std.nan)
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge)
OPERATORS = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.truediv: "div",
    operator.mod: "remainder",
    operator.pow: "pow",
    operator.floordiv: "floordiv",
}
ROWS = [row for row in TABLE.values() if row.name not in ("where", "round_digits")]
SMOOTH = [math.tanh, math.sin, math.sigmoid, math.softplus, math.relu, math.silu, math.atan]


def condition(pick, rng):
    """Draws a condition: a comparison, two of them, or a number that may be 0."""
    compare, x, y = rng.choice(COMPARISONS), pick(), pick()
    kind = rng.randrange(8)
    if kind == 0:
        return lambda pool: x(pool)
    if kind < 3:
        other, z, join = rng.choice(COMPARISONS), pick(), rng.choice([operator.and_, operator.or_])
        return lambda pool: join(compare(x(pool), y(pool)), other(y(pool), z(pool)))
    return lambda pool: compare(x(pool), y(pool))


def index(pick, rng, count):
    """Returns a whole number from 0 to ``count`` - 1 that depends on a comparison."""
    holds, i, j = condition(pick, rng), float(rng.randrange(count)), float(rng.randrange(count))
    return lambda pool: math.where(holds(pool), i, j)


def an_operator(pick, rng, program):
    f, x, y = rng.choices(list(OPERATORS), [6, 4, 6, 3, 1, 1, 1])[0], pick(), pick()
    if rng.random() < 0.15:
        y = x

    def step(pool):
        args = x(pool), y(pool)
        # 1 / 0.0 would raise
        return (
            f(*args) if any(isinstance(arg, Value) for arg in args) else TABLE[OPERATORS[f]](*args)
        )

    return step


def a_row(pick, rng, program):
    row = rng.choice(SMOOTH if rng.random() < 0.4 else ROWS)
    args = [pick() for _ in range(row.arity)]
    return lambda pool: row(*[arg(pool) for arg in args])


def a_choice(pick, rng, program):
    holds, x, y = condition(pick, rng), pick(), pick()
    return lambda pool: math.where(holds(pool), x(pool), y(pool))


def a_guarded_choice(pick, rng, program):
    """Uses a function only where it is defined, a pattern in which a careless gradient is nan."""
    x, f = pick(), rng.choice([math.log, math.sqrt, math.rsqrt, math.reciprocal])
    return lambda pool: math.where(x(pool) > 0, f(x(pool)), 0.0)


def an_entry(pick, rng, program):
    entries = [pick() for _ in range(rng.randint(1, 4))]
    at = index(pick, rng, len(entries))
    return lambda pool: math.take([entry(pool) for entry in entries], at(pool))


def a_row_of_a_table(pick, rng, program):
    rows = [[pick(), pick()] for _ in range(3)]
    at = index(pick, rng, 3)
    return lambda pool: operator.sub(*math.take([[x(pool) for x in row] for row in rows], at(pool)))


def of_a_list(pick, rng, program):
    entries = [pick() for _ in range(rng.randint(2, 4))]
    f = rng.choice(
        [
            math.logsumexp,
            math.norm,
            math.prod,
            math.total,
            lambda xs: math.softmax(xs)[0],
            lambda xs: math.log_softmax(xs)[-1],
        ]
    )
    return lambda pool: f([entry(pool) for entry in entries])


def a_cross_entropy(pick, rng, program):
    logits, at = [pick() for _ in range(3)], index(pick, rng, 3)
    return lambda pool: nn.cross_entropy([logit(pool) for logit in logits], at(pool))


def a_sum_of_products(pick, rng, program):
    xs, ys = [pick() for _ in range(4)], [pick() for _ in range(4)]
    if rng.random() < 0.3:
        ys = xs
    return lambda pool: math.sumprod([x(pool) for x in xs], [y(pool) for y in ys])


def a_leaf(pick, rng, program):
    leaf = Value(rng.uniform(-2, 2), rng.choice(["", "w", "b"]))
    program.leaves.append(leaf)
    return lambda pool: leaf


def a_network(pick, rng, program):
    model, xs = (
        nn.MLP(2, [2, 1], activation=rng.choice(["tanh", "relu"]), rng=rng),
        [pick(), pick()],
    )
    program.leaves += model.parameters()
    return lambda pool: model([x(pool) for x in xs])


def a_dropout(pick, rng, program):
    dropout, xs = nn.Dropout(0.5, rng=program.draws), [pick(), pick()]
    return lambda pool: math.total(dropout([x(pool) for x in xs]))


def rounded(pick, rng, program):
    x, f = (
        pick(),
        rng.choice(
            [
                abs,
                round,
                std.floor,
                std.trunc,
                operator.neg,
                operator.pos,
                lambda x: round(x, 2),
                lambda x: divmod(x, 1.5)[1],
            ]
        ),
    )
    return lambda pool: f(x(pool)) if isinstance(x(pool), Value) else float(f(Value(x(pool))))


KINDS = {
    an_operator: 40,
    a_row: 26,
    a_choice: 7,
    a_guarded_choice: 3,
    an_entry: 4,
    a_row_of_a_table: 1,
    of_a_list: 5,
    a_cross_entropy: 2,
    a_sum_of_products: 4,
    a_leaf: 4,
    a_network: 1,
    a_dropout: 2,
    rounded: 3,
}


class RandomProgram:
    """A function of one to four numbers, drawn with a random seed so that most results are finite.

    leaves   Values that it closes over
    kinds    what it does, names of functions of this file
    """

    def __init__(self, seed, largest=40):
        rng = random.Random(f"program {seed}")
        self.seed, self.leaves, self.kinds, self.draws, self.steps = (
            seed,
            [],
            [],
            random.Random(),
            [],
        )
        self.point = [
            rng.choice([-1, 1]) * 10 ** rng.uniform(-1, 1) for _ in range(rng.randint(1, 4))
        ]
        self.reset()
        pool = list(self.point)
        for _ in range(round(3 * (largest / 3) ** rng.random())):
            for attempt in range(6):
                kind, leaves = rng.choices(list(KINDS), KINDS.values())[0], len(self.leaves)
                step = kind(functools.partial(self._pick, rng, len(pool)), rng, self)
                made = float(step(pool))
                if abs(made) < 1e4 or attempt == 5 or rng.random() < 0.03:
                    break
                del self.leaves[leaves:]
            self.kinds.append(kind.__name__)
            self.steps.append(step)
            pool.append(made)
        self.reset()

    @staticmethod
    def _pick(rng, count):
        if rng.random() < 0.1:
            x = rng.choice(CONSTANTS)
            return lambda pool: x
        k = max(rng.randrange(count), rng.randrange(count))
        return lambda pool: pool[k]

    def reset(self):
        """Restarts the random draws."""
        self.draws.seed(self.seed)

    def __call__(self, *xs):
        pool = list(xs)
        for step in self.steps:
            pool.append(step(pool))
        return math.total(pool[-3:])

    def inputs(self, count):
        """Yields arguments: near its point, where results are finite, anywhere, and some special
        numbers."""
        rng = random.Random(f"inputs {self.seed}")
        for k in range(count):
            near = [x * rng.uniform(0.8, 1.25) for x in self.point]
            anywhere = [
                rng.choice([0.0, -0.0, 1.0, -1.0, std.inf, std.nan])
                if rng.random() < 0.2
                else rng.uniform(-3, 3)
                for _ in self.point
            ]
            yield self.point if k == 0 else anywhere if k % 3 == 2 else near

    def eagerly(self, xs):
        """Returns what the engine computes: the value, and the derivatives with respect to the
        arguments and to the leaves; None for a constant."""
        self.reset()
        values = [Value(x) for x in xs]
        for leaf in self.leaves:
            leaf.grad = 0.0
        result = self(*values)
        if not isinstance(result, Value):
            return None
        result.backward()
        return result.data, [value.grad for value in values], [leaf.grad for leaf in self.leaves]
