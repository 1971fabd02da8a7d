"""Cases in which small engines crash, leak or go wrong: depth, paths, memory, interrupts, threads,
processes."""

import gc
import json
import sys
import threading

import pytest
from helpers import bits, run_python, scaled

from tinygrad_edu import Value, gradients, math, no_grad, topological_order
from tinygrad_edu.engine import graph

# ---- a million nodes, in separate processes because of segmentation faults -----------------------

MILLION = """
import copy, gc, json, pickle, resource, sys, time
import viz
from tinygrad_edu import Value

kind, n, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
assert sys.getrecursionlimit() == 1000
sys.setrecursionlimit(limit)
gc.disable()  # two thirds of the time of building so large a graph would be the collector's
PLANT
report, seconds = {}, {}


def build():
    if kind == "sum":
        xs = [Value(0.5) for _ in range(n)]
        return sum(xs), xs[0]
    x = y = Value(0.5)
    for _ in range(n):
        y = y + x
    return y, x


def draw(y):
    drawing = viz.draw(y)
    assert drawing.svg().startswith("<svg")
    return [len(drawing.records.nodes), drawing.records.notes[0]]


def step(name, do, *args):
    print(name, file=sys.stderr, flush=True)
    start = time.process_time()
    result = do(*args)
    seconds[name] = round(time.process_time() - start, 2)
    return result


def swept(root, first_leaf):
    step("backward", root.backward)
    return [root.data, first_leaf.grad, root.args[1].grad]


blocks = sys.getallocatedblocks()
y, x = step("build", build)
report["built"] = swept(y, x)
report["repr"] = step("repr", repr, y)
report["hash"] = y in {y}
report["draw"] = step("draw", draw, y)
twins = step("deepcopy", copy.deepcopy, (y, x))
report["copied"] = swept(*twins)
report["original"] = x.grad
del twins
text = step("pickle", pickle.dumps, (y, x))
del x
step("delete", globals().__delitem__, "y")
twins = step("unpickle", pickle.loads, text)
report["unpickled"] = swept(*twins)
del text, twins
report["freed"] = sys.getallocatedblocks() - blocks < n
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([report, seconds, peak]))
"""

CHAIN, SUM = "chain", "sum"
# recursion limits; with the second, recursion would end in a segmentation fault or without memory
USUAL, NONE = 1000, 10**9
# each takes half a minute, so ci has each shape and each limit once
CASES = [(CHAIN, USUAL), (SUM, NONE)]
TERMS = scaled(100_000, 500_000)  # of a sum, which are nodes, too; and far over any limit
ALL_CASES = [*CASES, (SUM, USUAL), (CHAIN, NONE)]


def of_a_million(kind, n, limit, plant=""):
    return run_python(MILLION.replace("PLANT", plant), kind, n, limit, timeout=400)


@pytest.mark.parametrize(("kind", "limit"), scaled(CASES, ALL_CASES))
def test_graph_of_a_million_nodes_works_like_a_small_one(kind, limit):
    done = of_a_million(kind, 1_000_000 if kind == CHAIN else TERMS, limit)
    assert done.returncode == 0, f"exit status {done.returncode} after: {done.stderr[-2000:]}"
    report = json.loads(done.stdout)[0]
    data, slope = (500_000.5, 1_000_001.0) if kind == CHAIN else (TERMS / 2, 1.0)
    hidden = {CHAIN: "1,000,001", SUM: f"{2 * TERMS + 1:,}"}[kind]
    assert report == {
        "built": [data, slope, slope],
        "repr": f"Value(data={data}, grad=1.0, op='add')",
        "hash": True,
        "draw": [
            300,
            "Only the 300 nodes nearest to the output are shown: "
            f"{hidden} are more than max_nodes=300. "
            "To see all: max_nodes=None; to fold modules: collapse=.",
        ],
        "copied": [data, 2 * slope, 2 * slope],
        "original": slope,
        "unpickled": [data, 2 * slope, 2 * slope],
        "freed": True,
    }


RECURSIVE = {
    "backward": """
from tinygrad_edu.engine import graph
def recursive(roots, seeds):
    order = []
    def visit(node):
        if node not in order[-3:]:
            [visit(arg) for arg in node.args]
            order.append(node)
    visit(roots[0])
graph.backpropagate = recursive
""",
    "repr": "Value.__repr__ = lambda node: f'{node.op}({\", \".join(map(repr, node.args))})'",
    "draw": """
import viz.drawing.model
def recursive(node):
    return [operand for arg in node.args for operand in recursive(arg)] + [node]
viz.drawing.model.topological_order = recursive
""",
    "deepcopy": """
def recursive(node, memo):
    if id(node) not in memo:
        memo[id(node)] = copy.copy(node)
        for arg in node.args:
            copy.deepcopy(arg, memo)
    return memo[id(node)]
Value.__deepcopy__ = recursive
""",
    "pickle": "Value.__reduce_ex__ = object.__reduce_ex__",
}


@pytest.mark.parametrize("name", list(RECURSIVE))
def test_planted_recursion_is_detected(name):
    done = of_a_million(CHAIN, 20_000, USUAL, RECURSIVE[name])
    assert done.returncode == 1
    assert "RecursionError" in done.stderr
    steps = [line for line in done.stderr.splitlines() if line and " " not in line]
    assert steps[-1] == name


def test_memory_that_is_not_freed_is_detected():
    done = of_a_million(
        CHAIN,
        20_000,
        USUAL,
        "kept = []\nold = Value.__deepcopy__\n"
        "Value.__deepcopy__ = lambda node, memo: kept.append(old(node, memo)) or kept[-1]",
    )
    assert json.loads(done.stdout)[0]["freed"] is False


# ---- every operation of a sweep, in order --------------------------------------------------------


class Tracer:
    """Counts the interpreter's operations in all functions that are called in a ``with`` block.

    At operation ``stop`` it raises Ctrl-C. ``functions`` has the name of the function of each
    operation.
    """

    def __init__(self, stop=None):
        self.stop, self.functions = stop, []

    def __enter__(self):
        self._previous = sys.gettrace()
        sys.settrace(self._on_event)
        return self

    def __exit__(self, *_):
        sys.settrace(self._previous)

    def _on_event(self, frame, event, arg):
        if frame.f_code is Tracer.__exit__.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.functions.append(frame.f_code.co_name)
            if len(self.functions) == self.stop:
                raise KeyboardInterrupt
        return self._on_event


def operations(f):
    """Returns how many operations of the interpreter a call of ``f`` takes."""
    with Tracer() as tracer:
        f()
    return len(tracer.functions)


# ---- 2**1000 paths


def doubled(n):
    x = y = Value(1.0)
    for _ in range(n):
        y = y + y
    return x, y


def chain(n):
    y = Value(1.0)
    for _ in range(n):
        y = -y
    return y


def test_cost_of_a_sweep_depends_on_nodes_and_not_on_paths():
    x, y = doubled(1000)  # 2**1000 paths
    cost = operations(y.backward)
    assert x.grad == 2.0**1000
    assert gradients(y, [x])[0].data == 2.0**1000
    assert cost < 2 * operations(chain(1000).backward)  # add has two operands, neg one
    assert cost < 1.01 * 10 * operations(doubled(100)[1].backward)


def test_sweep_along_paths_is_detected():
    def along_paths(node, adjoint=1.0):
        for arg, partial in zip(node.args, node.partials):
            along_paths(arg, partial * adjoint)

    assert (
        operations(lambda: along_paths(doubled(12)[1]))
        > 100 * operations(doubled(12)[1].backward)
        > 0
    )


# ---- interruptions


def tangle():
    """Returns a root over thirty leaves with several users each. Their gradients distinguish every
    sweep from the next."""
    leaves = [Value(1.0 + i / 32, f"x{i}") for i in range(30)]
    root = leaves[0]
    for leaf in leaves:
        root = root * 0.75 + leaf * leaves[0]
    root = (
        root
        + math.where(root > 0, math.hypot(root, leaves[1]), 3.0)
        + math.clip(root, -1.0, leaves[2] * 1e6)
    )
    (root * 3).backward()
    root.backward()
    return root


def torn():
    """Returns ``(functions, torn)`` for Ctrl-C at 400 operations of a sweep, spread evenly, and at
    all outside its two long loops.

    ``functions`` are the interrupted ones. ``torn`` has the points after which some gradients were
    old and some new, and the points after which a second attempt gave other gradients.
    """
    root = tangle()
    order = topological_order(root)

    def state():
        return [node.grad for node in order]

    def put_back():
        for node, grad in zip(order, old):
            node.grad = grad

    old = state()
    with Tracer() as whole:
        root.backward()
    new = state()
    assert sum(a != b for a, b in zip(old, new)) >= 30
    total = len(whole.functions)
    step = scaled(total // 400, 1)
    points = [
        i
        for i, function in enumerate(whole.functions, 1)
        if i % step == 0 or function not in ("_reachable", "_sweep")
    ]
    functions, bad = [], []
    for point in points:
        put_back()
        with pytest.raises(KeyboardInterrupt), Tracer(stop=point) as tracer:
            root.backward()
        functions.append(tracer.functions[-1])
        if state() == old:
            root.backward()
        if state() != new:
            bad.append((point, functions[-1]))
    return functions, bad


def test_ctrl_c_at_any_operation_of_a_sweep_leaves_all_gradients_old_or_all_new():
    functions, bad = torn()
    assert bad == []
    assert len(functions) >= 400
    assert functions.count("_sweep") >= 100
    assert {"backward", "backpropagate", "_reachable", "assign_grads"} <= set(functions)


def test_sweep_that_restores_nothing_is_detected(monkeypatch):
    def careless(roots, seeds):
        nodes, _ = graph._reachable(roots)
        nodes.sort(key=graph.serial_of, reverse=True)
        graph.assign_grads(nodes, [0.0] * len(nodes))
        graph._sweep(nodes, roots, seeds)

    monkeypatch.setattr(graph, "backpropagate", careless)
    _, bad = torn()
    assert len(bad) >= 100


SIGNALS = """
import signal
from tinygrad_edu import Value, topological_order
x = Value(1.0)
y = x
for _ in range(60_000):
    y = y * 0.9999 + x
y.backward()
order = topological_order(y, constants=False)
before = [node.grad for node in order]
y.backward()
done = [node.grad for node in order]
assert done != before

def on_alarm(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, on_alarm)
cut_short = 0
for attempt in range(25):
    x.grad = before[0]
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.004 * attempt)
        y.backward()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        pass
    after = [node.grad for node in order]
    assert after in (before, done), attempt  # an alarm may also come just after the end
    cut_short += after == before
assert cut_short >= 2, cut_short
x.grad = before[0]
y.backward()
assert [node.grad for node in order] == done
print("held")
"""


def test_alarms_at_any_moment_of_a_sweep_leave_every_gradient_as_it_was():
    done = run_python(SIGNALS)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "held\n"


# ---- memory: 5,000 steps of training, without the garbage collector ------------------------------

TRAINING = """
import gc, json, random, sys, tracemalloc
from tinygrad_edu import data, fit, nn, optim

how, steps, fault = sys.argv[1], int(sys.argv[2]), sys.argv[3]
kept = []
X, y = data.xor()
model = nn.MLP(2, [2, 1], "tanh", rng=random.Random(1))
optimizer = optim.Adam(model.parameters(), lr=0.01)
gc.collect()
gc.disable()
tracemalloc.start()


def plant(loss):
    if fault == "kept graphs":
        kept.append(loss)
    if fault == "cycles":
        cycle = [loss.data]
        cycle.append(cycle)
    return loss


def hand(n):
    for _ in range(n):
        loss = plant(sum(nn.mse(model(x), t) for x, t in zip(X[:1], y[:1])))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def by_fit(n):
    return fit(model, lambda p, t: plant(nn.mse(p, t)), X[:1], y[:1], optimizer=optimizer, epochs=n)


run = {"hand": hand, "fit": by_fit}[how]
run(50)  # what is made once
before = tracemalloc.get_traced_memory()[0]
history = run(steps)
grown = tracemalloc.get_traced_memory()[0] - before
print(json.dumps([grown, gc.collect(), optimizer.steps]))
"""


def trained(how, steps, fault=""):
    done = run_python(TRAINING, how, steps, fault)
    assert done.returncode == 0, done.stderr
    grown, garbage, made = json.loads(done.stdout)
    assert made == steps + 50
    return grown, garbage


@pytest.mark.parametrize("how", ["hand", "fit"])
def test_training_without_the_garbage_collector_does_not_grow(how):
    grown, garbage = trained(how, 5000)
    assert grown < 1_000_000  # the history of fit grows by three numbers a step
    assert garbage == 0


@pytest.mark.parametrize("how", ["hand", "fit"])
def test_planted_leaks_are_detected(how):
    assert trained(how, 1000, "kept graphs")[0] > 1_000_000
    assert trained(how, 1000, "cycles")[1] >= 1000


def test_a_graph_is_freed_by_reference_counting_alone():
    gc.collect()
    gc.disable()
    try:
        x = Value(0.5)
        for _ in range(200):
            y = x
            for _ in range(10):
                y = (y * x + 1).tanh() / 2
            y.backward()
            gradients(y, [x])
            assert y.args  # constants are created when they are read
        del y
        assert gc.collect() == 0
    finally:
        gc.enable()


# ---- threads


def work(seed, together):
    """Builds, sweeps and differentiates graphs of this thread only; returns the bits of all
    numbers."""
    found = []
    for i in range(15):
        together.wait()
        x, w = Value(seed + i / 64, "x"), Value(-0.5 * seed, "w")
        y = x
        for k in range(40):
            y = (y * w + x).tanh() * 2.0 if k % 3 else math.hypot(y, w) - 1.0
        with no_grad():
            found.append(len((x * w).args))
        y.backward()
        slope = gradients(y, [x])[0]
        found += [
            bits(number)
            for number in (y.data, x.grad, w.grad, slope.data, gradients(slope, [w])[0].data)
        ]
        found += [node.op for node in topological_order(y)] + [len(y.args)]
    return found


def test_four_threads_with_their_own_graphs_get_the_bits_that_each_gets_alone():
    found, barrier = {}, threading.Barrier(4, timeout=60)
    interval = sys.getswitchinterval()
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: work(seed, barrier)}))
        for seed in range(1, 5)
    ]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert found == {seed: work(seed, threading.Barrier(1)) for seed in range(1, 5)}
    assert len({tuple(entries) for entries in found.values()}) == 4


# ---- other processes

EVERYTHING = """
import random, sys
import viz
from tinygrad_edu import Value, data, fit, gradients, math, nn, optim, record, topological_order

rng = random.Random(1)
nodes = [Value(rng.random(), f"x{i}") for i in range(5)]
for _ in range(60):
    a, b = rng.choice(nodes), rng.choice(nodes)
    nodes.append(rng.choice([
        lambda: a + b, lambda: a * b, lambda: math.sin(a), lambda: 2 * a,
        lambda: math.maximum(a, b), lambda: math.where(True, a, 3),
        lambda: math.logsumexp([a, b, 1.0]),
    ])())
y = sum(nodes[-8:])
y.backward()
order = topological_order(y)
place = {node: i for i, node in enumerate(order)}
for node in order:
    args = [place[arg] for arg in node.args]
    print(node.op, node.label, node.data.hex(), node.grad.hex(), args)
print(order)
print([slope.data.hex() for slope in gradients(gradients(y, [nodes[0]])[0], nodes[:5])])
print(viz.draw(y, max_nodes=None).source)
print(*(step.sentence for step in record(y)), sep="\\n")

X, targets = data.moons(12, noise=0.1, rng=2)
model = nn.MLP(2, [3, 1], rng=3)
history = fit(
    model, nn.hinge, X, targets, optimizer=optim.Adam(model.parameters()), epochs=3, batch_size=5,
    rng=4, penalty=lambda: 1e-3 * nn.l2(model.parameters()),
)
print([loss.hex() for loss in history.loss])
print({name: number.hex() for name, number in model.state_dict().items()})
outputs = [model(x)[0] if isinstance(model(x), list) else model(x) for x in X[:2]]
print(viz.draw(outputs, collapse="neurons").source)
print(set("abcdefgh"), file=sys.stderr)
"""


PROCESSES = scaled(8, 20)


def test_processes_with_different_hash_seeds_agree_to_the_last_bit():
    done = [run_python(EVERYTHING, hash_seed=seed) for seed in range(PROCESSES)]
    assert [process.returncode for process in done] == [0] * PROCESSES, done[0].stderr
    assert len({process.stdout for process in done}) == 1
    assert len(done[0].stdout) > 20_000
    # they do hash differently: a dependence on sets would be detected
    assert len({process.stderr for process in done}) > PROCESSES / 2


WRITER = """
import pickle, sys
from tinygrad_edu import Value, math, nn
x, w, b = Value(0.5, "x"), Value(-1.25, nn.ParameterName("w")), Value(2.0)
shared = x * w + 2
y = math.where(x > 0, shared.tanh() * x, 1.0) + shared / (b ** 2 + 1) - 3 * x
y.backward()
with open(sys.argv[1], "wb") as file:
    pickle.dump({"root": y, "leaves": [x, w, b], "also": shared * 2}, file)
"""

READER = """
import pickle, sys
from tinygrad_edu import gradients
with open(sys.argv[1], "rb") as file:
    loaded = pickle.load(file)
y, (x, w, b) = loaded["root"], loaded["leaves"]
assert [leaf.label for leaf in (x, w, b)] == ["x", "w", ""]
assert type(w.label).__name__ == "ParameterName"
grads = [leaf.grad for leaf in (x, w, b)]
y.backward()
assert [leaf.grad for leaf in (x, w, b)] == [2 * grad for grad in grads] and all(grads)
slopes = gradients(y, [x, w, b])
assert [slope.data for slope in slopes] == grads
further = loaded["also"] * y
further.backward()
second = gradients(slopes[0], [w])[0].data
print([number.hex() for number in (y.data, *grads, second, further.data, x.grad)])
"""


def test_a_graph_pickled_in_one_process_is_differentiated_in_another(tmp_path):
    path = tmp_path / "graph.pickle"
    written = run_python(WRITER, path, hash_seed=1)
    assert written.returncode == 0, written.stderr
    read = run_python(READER, path, hash_seed=2)
    assert read.returncode == 0, read.stderr
    at_once = run_python(WRITER + READER, path, hash_seed=3)  # from a file, in one process
    assert at_once.stdout == read.stdout
    value, slope = (
        float.fromhex(text.strip(" '")) for text in read.stdout.strip("[]\n").split(",")[:2]
    )
    x, w, b = Value(0.5), Value(-1.25), Value(2.0)
    shared = x * w + 2
    y = shared.tanh() * x + shared / (b ** 2 + 1) - 3 * x
    y.backward()
    assert (value, slope) == (y.data, x.grad)
