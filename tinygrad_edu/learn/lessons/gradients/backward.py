"""The backward pass: what it computes, what it leaves to others, and in which order it goes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from .... import data, math, nn, optim
from ....debug.orders import compare_orders
from ....engine.value import Value
from ....errors import counted
from ...evidence import Evidence, claim
from ...misconceptions import BACKWARD, sweep
from ...settings import Range
from ..lesson import Card, Cover, IdeaQuestion, Lesson, Part

SAMPLES = 20
MOVE = 1e-4  # of a weight
SHOWN = 3  # every third weight is shown, by the size of its gradient
OPERATIONS = 30  # of a random program
STEP = 1e-5  # of difference quotients
BINARY: tuple[Callable[[Any, Any], Any], ...] = (
    lambda x, z: x + z, lambda x, z: x - z, lambda x, z: x * z,
)
UNARY: tuple[Callable[[Any], Any], ...] = (math.tanh, math.sin, math.cos)
WRONG = ("", *BACKWARD)  # ideas about the backward pass, "" for the right one


class Task:
    """A network with 2 inputs and 4 tanh units, and samples with targets, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.model: Any = nn.MLP(2, [4, 1], "tanh", rng=seed)
        self.samples, self.targets = data.moons(SAMPLES, rng=seed)

    def loss(self) -> Value:
        """Returns the mean squared error of the network."""
        errors = [self.model(x) - t for x, t in zip(self.samples, self.targets)]
        total: Value = math.total([error**2 for error in errors])
        return total / SAMPLES


@claim("backward() computes, step() updates", lesson="backward", negation={"lr": 0.0})
def who_updates(seed: int, lr: Annotated[float, Range(0, 1000)] = 0.1) -> Evidence:
    """Weights before and after backward(), and after step().

    lr: the learning rate of the optimiser; with 0 no weight changes.
    """
    task = Task(seed)
    weights = task.model.parameters()
    optimizer = optim.SGD(weights, lr=lr)
    start = [w.data for w in weights]
    seen = []

    def look(after: str) -> None:
        changed = sum(w.data != before for w, before in zip(weights, start))
        known = sum(w.grad != 0 for w in weights)
        seen.append((after, changed, known, task.loss().data))

    loss = task.loss()
    look("forward pass")
    loss.backward()
    look("backward()")
    optimizer.step()
    look("step()")
    forward, backward, step = seen
    rows = [(name, str(n), str(known), f"{loss_:.4f}") for name, n, known, loss_ in seen]
    count = len(weights)
    return Evidence(
        backward[1:3] == (0, count) and step[1] == count,
        {"count": count, "after_backward": backward[1], "known": backward[2],
         "after_step": step[1], "first": forward[3], "last": step[3]},
        f"After backward(), {backward[1]} of {count} weights have changed, and {backward[2]} have "
        f"a gradient. After step() {step[1]} have changed, and the loss has gone from "
        f"{forward[3]:.4f} to {step[3]:.4f}.",
        (("after", "changed", "with gradient", "loss"), *rows),
    )


@claim("a gradient is a direction and a size", lesson="backward", negation={"sign": 1})
def direction_and_size(seed: int, sign: Literal[-1, 1] = -1) -> Evidence:
    """Each weight is moved alone, by a little, against its gradient (sign -1) or along it.

    sign: the direction of each move: against the gradient (-1) or along it (1).
    """
    task = Task(seed)
    loss = task.loss()
    loss.backward()
    moved = []
    for weight in task.model.parameters():
        kept = weight.data
        weight.data = kept + math.copysign(MOVE, sign * weight.grad)
        moved.append((weight.grad, task.loss().data - loss.data))
        weight.data = kept
    moved.sort(key=lambda pair: -abs(pair[0]))
    lowered = sum(change < 0 for _, change in moved)
    sizes = [abs(change) for _, change in moved]
    times = sizes[0] / sizes[len(sizes) // 2]
    rows = [
        ("up" if sign * g > 0 else "down", f"{g:+.4f}", f"{change / MOVE:+.4f}")
        for g, change in moved[::SHOWN]
    ]
    return Evidence(
        lowered == len(moved) and max(sizes) == sizes[0],
        {"lowered": lowered, "count": len(moved), "move": MOVE, "times": times},
        f"Each of {len(moved)} weights was moved by {MOVE:g}, alone, "
        f"{'against' if sign < 0 else 'along'} its gradient. The loss fell in {lowered} cases. "
        f"The largest gradient changed it {times:.0f} times as much as a middle one.",
        (("weight goes", "gradient", "change of loss / move"), *rows),
    )


def doubled(times: int) -> Value:
    """Returns a number that is added to itself, and the sum to itself, so many times."""
    c = Value(1.0, "a")
    for _ in range(times):
        c = c + c
    return c


@claim("a node waits for all its users", lesson="backward", negation={"most": 1})
def waits(seed: int, most: Annotated[int, Range(1, 8)] = 4) -> Evidence:
    """The backward pass in topological order, and a naive one that passes everything on at once.

    most: how many doublings there are at most; each adds a number to itself.
    """
    rows = []
    for times in range(1, most + 1):
        right, naive = compare_orders(doubled(times)).gradients["a"]
        rows.append((times, right, naive))
    model: Any = nn.MLP(2, [4, 4, 1], "tanh", rng=seed)
    pairs = compare_orders(model([0.3, -0.7])).gradients
    weights = [pairs[name] for name, _ in model.named_parameters() if name in pairs]
    wrong = sum(abs(right - naive) > 1e-9 for right, naive in weights)
    last = rows[-1]
    shown = [(str(n), f"{right:g}", f"{naive:g}") for n, right, naive in rows]
    return Evidence(
        last[2] != last[1] and wrong > 0,
        {"times": last[0], "right": last[1], "naive": last[2], "wrong": wrong,
         "weights": len(weights), "twice": rows[min(1, most - 1)][2]},
        f"After {counted(last[0], 'doubling')} dc/da is {last[1]:g}; passing on at once "
        f"gives {last[2]:g}. In a network with two hidden layers it gets {wrong} of "
        f"{len(weights)} weights wrong.",
        (("doublings", "right", "passed on at once"), *shown),
    )


def program(seed: int) -> Callable[[Sequence[Any]], Any]:
    """Draws a program of three inputs without layers: an operation may use any number before it."""
    draw = random.Random(seed)
    plan = []
    for count in range(3, 3 + OPERATIONS // 2):
        # each input is used by one of the first operations; x - x would be 0
        second = count - 3 if count < 6 else draw.randrange(count - 1)
        plan.append((draw.choice(BINARY), draw.choice(UNARY), count - 1, second))

    def run(inputs: Sequence[Any]) -> Any:
        numbers = list(inputs)
        for binary, unary, first, second in plan:
            numbers.append(unary(binary(numbers[first], numbers[second])))
        return numbers[-1]

    return run


@claim("a graph is enough, layers are not needed", lesson="backward",
       negation={"idea": "overwrite"})
def any_graph(seed: int, idea: Annotated[str, WRONG] = "") -> Evidence:
    """Gradients of a random program by a sweep, and by small changes of its inputs.

    idea: the idea by which the backward pass runs, the right one or a wrong one.
    """
    run = program(seed)
    at = [0.5, -0.8, 1.2]
    gradients = sweep(run([Value(x, name) for x, name in zip(at, "abc")]), idea)
    rows = []
    for i, name in enumerate("abc"):
        up, down = [run([x + s * (i == j) for j, x in enumerate(at)]) for s in (STEP, -STEP)]
        rows.append((name, gradients[name], (up - down) / (2 * STEP)))
    worst = max(abs(found - quotient) for _, found, quotient in rows)
    how = f"a backward pass with the wrong idea {idea!r}" if idea else "backpropagation"
    shown = [(name, f"{found:+.7f}", f"{quotient:+.7f}") for name, found, quotient in rows]
    return Evidence(
        worst < 1e-6,
        {"operations": OPERATIONS, "worst": worst},
        f"A program of {OPERATIONS} random operations has no layers at all. Its gradients by "
        f"{how} and by small changes of the inputs differ by {worst:.1g} at most.",
        (("input", idea or "backpropagation", "small changes"), *shown),
    )


LESSON = Lesson(
    name="backward",
    title="The backward pass",
    intro="The forward pass is done, and the loss is known. The backward pass goes through the "
          "same graph the other way: from the loss through the output layer and the hidden layers "
          "to the inputs. It begins with dL/dL = 1, and each node multiplies the gradient that has "
          "arrived by its local derivatives and passes the products on to its operands. In the "
          "end every weight has a gradient: the derivative of the loss, which compares predictions "
          "with known targets, with respect to this weight. That is backpropagation. Let us see "
          "what it does, and what it does not do.",
    parts=(
        Part(
            "A network has made its predictions, and loss.backward() has run. What has happened to "
            "the weights?",
            (
                "Nothing, but each has a gradient now",
                "Each has moved a little against its gradient",
                "They have been corrected, from the last layer to the first",
            ),
            (
                "backward() computes gradients. Whoever wants the weights changed has to do it "
                "with these.",
                "That is the step of an optimiser, and it comes afterwards. You are in good "
                "company: many a textbook says that the backward pass updates the weights.",
                "What goes from the last layer to the first is the computation of gradients. Only "
                "when all of them are there do weights change, and then all at once.",
            ),
            who_updates,
            "Look at the column of changes: backward() has changed {after_backward} weights. They "
            "have gradients now, and that is all. Then an optimiser uses these: gradient descent "
            "subtracts from each weight the learning rate times its gradient, and its step() "
            "changes {after_step} of them. So a training step has three parts: forward pass, "
            "backward pass and update. Backpropagation ends before the update. It pays to keep "
            "them apart: with the same gradients you can use another optimiser, check them, or "
            "clip them (make those smaller that are too large), and a gradient with respect to an "
            "input updates nothing.",
        ),
        Part(
            "A weight v has the gradient 0.5, and a weight w the gradient -2. You may move one of "
            "them, by 0.001. Which move lowers the loss most?",
            ("w up", "w down", "v down", "v up"),
            (
                "Against its sign, and the one with the larger size: the loss falls by 0.002.",
                "A negative gradient says that the loss falls as w grows. Down, it rises by 0.002.",
                "This lowers the loss, too, but only by 0.0005. The gradient of w is four times "
                "as large.",
                "A positive gradient says that the loss grows with v.",
            ),
            direction_and_size,
            "The table has a few of the weights, with the largest gradients first. The sign is the "
            "direction: every weight that went against it made the loss fall, {lowered} of "
            "{count}. The size says how much: the change of the loss is the gradient times the "
            "move, as the last two columns show. Both hold for small moves. How far a step may "
            "go before they fail is a question of its own, which the lesson on the learning rate "
            "answers.",
        ),
        Part(
            "Let b = a + a and c = b + b, so that dc/da is 4. A careless backward pass lets each "
            "node pass on its gradient as soon as a part of it arrives, and again with the next "
            "part. What does it get for dc/da?",
            (
                "6: the first part is passed on twice",
                "4: the order does not matter, since sums can be added in any order",
                "2: the second part comes too late",
            ),
            (
                "b passes on 1 to each operand, and then 2, which contains the first 1 again.",
                "The order of adding does not matter. But b passed on a sum that was not complete.",
                "It does not come too late. It comes, and then b passes on everything again.",
            ),
            waits,
            "b receives 1, and passes 1 to each of its two operands, which are both a. Then b "
            "receives the other 1, has 2 by now, and passes on 2 twice. That is 1 + 1 + 2 + 2 = "
            "{twice:g}. With every doubling it gets worse. In the network {wrong} of {weights} "
            "gradients are wrong: those below units that several others use. The remedy is the "
            "order: the one of the forward pass, reversed. Then all users of a node come before "
            "it, and its gradient is complete when its turn comes. In a network of layers this "
            "means: first the output layer, then the hidden layers, then the inputs.",
        ),
        Part(
            "Pictures of backpropagation show layers. What does it need?",
            (
                "A graph of operations with known derivatives, of any shape",
                "Layers, each connected with the next one only",
                "A formula in which every number is used once",
            ),
            (
                "It needs to know what was computed from what, and one rule for each operation.",
                "Layers are a habit of networks. A connection that skips a layer is one more edge.",
                "Numbers that are used several times only need a sum, and the right order.",
            ),
            any_graph,
            "In this program any operation may use any number before it, and nobody could draw "
            "layers into it. The backward pass does not mind. Whatever a program does while it "
            "runs, with loops, branches or recursion, leaves a graph of what was computed, and any "
            "such graph can be gone through in reverse. That is why you can differentiate a Python "
            "program of your own with this package.",
        ),
    ),
    remember="Backpropagation computes the gradient of the loss with respect to every weight, from "
             "the output back to the inputs, each node after all of its users. It changes no "
             "weight: an optimiser does.",
    question=("gradient", 3),
    exercise="backward",
    ideas={
        "the purpose of backpropagation": IdeaQuestion(
            "What is the purpose of backpropagation?",
            "To compute the gradient of the loss for every weight",
            {
                "To update the weights": "backward updates",
                "To minimise the loss": "backward minimises",
            },
            who_updates,
        ),
        "the parts of a training step": IdeaQuestion(
            "In which order does a training step go?",
            "Forward pass, backward pass, update",
            {
                "Forward pass, update, backward pass": "update before gradients",
                "Backward pass, forward pass, update": "backward before forward",
            },
            who_updates,
        ),
        "what else learning needs": IdeaQuestion(
            "loss.backward() has run. What else has to happen for the network to learn?",
            "An optimiser has to change the weights, using their gradients",
            {
                "Nothing: the weights have been changed": "backward updates",
                "The forward pass has to run again, to use the gradients": "forward uses gradients",
            },
            who_updates,
        ),
        "what a gradient says": IdeaQuestion(
            "The gradient of a weight is -2. What lowers the loss?",
            "To make the weight a little larger",
            {
                "To make the weight a little smaller": "gradient points down",
                "To set the weight to -2": "gradient is the new weight",
            },
            direction_and_size,
        ),
        "the gradient of what": IdeaQuestion(
            "Which derivatives does supervised learning need?",
            "Those of the loss, with respect to the weights",
            {
                "Those of the prediction, with respect to the inputs": "prediction for loss",
                "Those of the weights, with respect to the loss": "derivative turned round",
            },
            direction_and_size,
        ),
        "what the backward pass does": IdeaQuestion(
            "What does the backward pass do?",
            "It goes from the loss to the inputs, and computes gradients",
            {
                "It goes from the inputs to the loss, and adds up errors": "errors flow forward",
                "It runs the network in reverse, to find better inputs": "backward inverts",
                "It moves weights, those of the last layer first": "backward updates",
            },
            waits,
        ),
        "which programs": IdeaQuestion(
            "Which programs can backpropagation differentiate?",
            "Any graph of operations that have derivatives",
            {
                "Networks of layers": "layers only",
                "Formulas in which every number is used once": "trees only",
            },
            any_graph,
        ),
    },
    cards={
        "backpropagation": Card(
            "idea",
            "Backpropagation computes the gradient of the loss with respect to every weight, by "
            "the chain rule. It does not change the weights.",
            idea="the purpose of backpropagation",
        ),
        "training step": Card(
            "idea",
            "A training step: the forward pass computes the loss, the backward pass the gradients, "
            "and the optimiser updates the weights.",
            idea="the parts of a training step",
        ),
        "who updates": Card(
            "idea",
            "Backpropagation is used with an optimiser, such as gradient descent: one computes "
            "gradients, the other changes weights with them.",
            idea="what else learning needs",
        ),
        "direction and size": Card(
            "idea",
            "The sign of a gradient says which way the loss grows; its size says how fast.",
            idea="what a gradient says",
        ),
        "supervised learning": Card(
            "idea",
            "The loss compares predictions with known targets. Its derivatives with respect to the "
            "weights say how to make it smaller.",
            idea="the gradient of what",
        ),
        "gradient by hand": Card(
            "gradient",
            "A node gets from each user the user's gradient times a local derivative; the sum is "
            "its gradient.",
        ),
        "backward pass": Card(
            "idea",
            "The backward pass goes from the loss through the output layer and the hidden layers "
            "to the inputs.",
            idea="what the backward pass does",
        ),
        "first wrong line": Card(
            "line",
            "Each line of a backward pass multiplies the gradient that arrives by a local "
            "derivative, and adds the product to what is there.",
        ),
        "reverse order": Card(
            "gradient",
            "In the reverse of the order of execution a node comes after all of its users, so its "
            "gradient is complete when it passes it on.",
            level=3,
        ),
        "any graph": Card(
            "idea",
            "Backpropagation works on any graph of operations with derivatives; layers are not "
            "needed.",
            idea="which programs",
        ),
    },
    covers={
        "000.n2": Cover(
            "a gradient is a direction and a size", "direction and size", "what a gradient says"
        ),
        "000.c1": Cover(
            "backward() computes, step() updates", "backpropagation",
            "the purpose of backpropagation",
        ),
        "000.q1": Cover(
            "backward() computes, step() updates", "backpropagation",
            "the purpose of backpropagation",
        ),
        "000.q3": Cover(
            "a node waits for all its users", "backward pass", "what the backward pass does"
        ),
        "000.q3 (line by line)": Cover(
            "a node waits for all its users", "first wrong line", "line"
        ),
        "001.f2": Cover(
            "backward() computes, step() updates", "training step", "the parts of a training step"
        ),
        "002.k1": Cover("a node waits for all its users", "gradient by hand", "gradient"),
        "002.q1": Cover(
            "backward() computes, step() updates", "backpropagation",
            "the purpose of backpropagation",
        ),
        "002.b2": Cover("a graph is enough, layers are not needed", "any graph", "which programs"),
        "003.c1": Cover(
            "backward() computes, step() updates", "who updates", "what else learning needs"
        ),
        "003.c2": Cover(
            "a gradient is a direction and a size", "supervised learning", "the gradient of what"
        ),
        "003.c4": Cover(
            "a node waits for all its users", "reverse order", "what the backward pass does"
        ),
    },
)
