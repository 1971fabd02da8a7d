"""Wrong ideas about backpropagation and gradient descent, each with a sentence on what is right.

    >>> from tinygrad_edu import Value, learn
    >>> a = Value(3.0, "a")
    >>> y = a + a
    >>> learn.misconceptions.sweep(y, "overwrite")["a"]
    1.0

Those about the backward pass are programs: `sweep` goes over a graph as somebody with that idea
would.  So are those about the forward pass: `forward` computes a graph with wrong rules.  The other
ones are ideas about paths, updates and counting; questions compute with them what a wrong answer
would be.
"""

from __future__ import annotations

from ..debug.misconceptions import MISCONCEPTIONS as BACKWARD
from ..debug.recording import Recording, record
from ..debug.stepper import Stepper
from ..engine.primitive import lookup
from ..engine.value import Value
from ..errors import check_choice
from .names import Named
from .wrong_answers import COUNTS, PATHS, UPDATES, Idea
from .wrong_rules import FORWARD, LOCAL

__all__ = ["BACKWARD", "FORWARD", "LOCAL", "MISCONCEPTIONS", "Idea", "forward", "sweep"]


MISCONCEPTIONS: Named[Idea] = Named("learn.misconceptions.MISCONCEPTIONS", {
    **{name: Idea(wrong.title, wrong.truth) for name, wrong in BACKWARD.items()},
    # forward passes and paths
    **{name: Idea(wrong.title, wrong.truth) for name, wrong in FORWARD.items()},
    **{name: Idea(wrong.title, wrong.truth) for name, wrong in LOCAL.items()},
    **PATHS,
    # updates and optimisers
    **UPDATES,
    # counting and classifying
    **COUNTS,
    # ideas of the lessons forward, chain, backward, cost
    "forward differentiates": Idea(
        "the forward pass is taken for what computes gradients",
        "The forward pass computes the prediction and the loss; gradients come from the backward "
        "pass, which needs them.",
    ),
    "forward updates": Idea(
        "a forward pass is taken to change the weights",
        "A forward pass uses the weights as they are; only an optimiser's step changes them.",
    ),
    "forward inverts": Idea(
        "the forward pass is taken for a search for inputs",
        "The inputs are given. They go through the network, and what comes out is compared with "
        "the target.",
    ),
    "forward uses gradients": Idea(
        "a forward pass is taken to use gradients",
        "A forward pass computes with the data of the weights; gradients change them only in an "
        "optimiser's step.",
    ),
    "change skips units": Idea(
        "an input is taken to reach the prediction without the hidden units",
        "The prediction is computed from the hidden units, and it changes because they do.",
    ),
    "change is not scaled": Idea(
        "a change is taken to stay the same on its way",
        "Each unit multiplies the change by its own weight, and by the derivative of its "
        "activation.",
    ),
    "unit without bias": Idea(
        "the bias of a unit is left out",
        "A unit adds its bias to the weighted sum. Without biases a network would answer inputs "
        "of 0 always in the same way.",
    ),
    "unit without activation": Idea(
        "the activation of a unit is left out",
        "A hidden unit applies an activation, such as tanh, to the weighted sum and the bias.",
    ),
    "loss in a unit": Idea(
        "each unit is thought to compute a loss",
        "The loss comes after the prediction, and compares it with the target. Hidden units have "
        "no targets.",
    ),
    "local derivatives add": Idea(
        "derivatives of steps that follow each other are added",
        "Each step scales the change that reaches it, so their derivatives multiply; what comes by "
        "different paths is added.",
    ),
    "paths multiply": Idea(
        "products of several paths are multiplied",
        "Along a path one multiplies. Several paths each bring a change of their own, and changes "
        "add.",
    ),
    "the strongest path counts": Idea(
        "only the largest products are taken to count",
        "The gradient is the exact sum over all paths; a small product is added like a large one.",
    ),
    "few paths": Idea(
        "a graph is taken to have as many paths as edges",
        "With each layer the number of paths is multiplied, while edges are only added.",
    ),
    "the last layer counts": Idea(
        "the last layer is taken for the whole network",
        "The last layer's inputs depend on all layers below, and these scale a change, too.",
    ),
    "backward updates": Idea(
        "the backward pass is taken to change the weights",
        "backward() computes gradients and changes no weight; the optimiser's step() changes them.",
    ),
    "backward minimises": Idea(
        "backpropagation is taken for the search for a minimum",
        "That takes many steps of an optimiser; backpropagation computes the gradient for one.",
    ),
    "update before gradients": Idea(
        "the update is taken to come before the backward pass",
        "The update needs the gradients, and the backward pass computes them.",
    ),
    "backward before forward": Idea(
        "the backward pass is taken to come before the forward pass",
        "The backward pass starts at the loss and uses local derivatives at the numbers of the "
        "forward pass.",
    ),
    "gradient points down": Idea(
        "a gradient is taken for the direction in which the loss falls",
        "A gradient says how the loss grows. It falls the other way: a negative gradient means up.",
    ),
    "gradient is the new weight": Idea(
        "a gradient is taken for a value of the weight",
        "A gradient is a ratio of changes, of the loss and of the weight. It says where to move, "
        "not where to be.",
    ),
    "prediction for loss": Idea(
        "the prediction is differentiated instead of the loss",
        "The loss is to become small, and the weights are what can be changed.",
    ),
    "derivative turned round": Idea(
        "numerator and denominator of a derivative change places",
        "The weights are moved and the loss responds: dL/dw.",
    ),
    "errors flow forward": Idea(
        "the backward pass is taken to begin at the inputs",
        "It begins at the loss, whose gradient is 1, and goes back to the inputs.",
    ),
    "backward inverts": Idea(
        "the backward pass is taken for the network in reverse",
        "No inputs are computed. What goes back are derivatives, at the numbers of the forward "
        "pass.",
    ),
    "layers only": Idea(
        "layers are taken for a condition of backpropagation",
        "Every graph has a reverse order of execution, and a sweep needs no more than that.",
    ),
    "trees only": Idea(
        "a number that is used twice is taken for an obstacle",
        "A number that is used several times gets a sum of gradients; weights and hidden units "
        "always do.",
    ),
    "the only way to a gradient": Idea(
        "backpropagation is taken for the only way to a gradient",
        "Small changes of each weight, or a formula, give the same numbers, with far more work.",
    ),
    "one pass for each weight": Idea(
        "every weight is taken to need a forward pass of its own",
        "That is what small changes of the weights need. One backward pass finds all derivatives.",
    ),
    "gradients are approximate": Idea(
        "the gradients of backpropagation are taken for approximations",
        "They are exact, up to the rounding of each operation; differences of losses are "
        "approximate.",
    ),
    "work counts units": Idea(
        "the work is taken to be proportional to the number of units",
        "A unit of a wider layer has more weights, and each weight is work: twice the width, four "
        "times the weights.",
    ),
    "work counts layers": Idea(
        "the work is taken to be proportional to the number of layers",
        "Layers can be narrow or wide. Each weight of a layer is a multiplication and an addition.",
    ),
    # ideas of the lessons descent, rate, start, batches, optimisers
    "climbs": Idea(
        "the weight follows the gradient uphill",
        "A positive derivative says that the loss grows with the weight, so descent makes the "
        "weight smaller.",
    ),
    "sign of the weight": Idea(
        "the sign of the weight is taken to decide",
        "Only the derivative counts: the loss grows with this weight, so less of it is better, "
        "whatever its sign.",
    ),
    "minus twice": Idea(
        "the minus of descent is taken twice",
        "y - h(x) already holds a minus: the derivative is -Σ(y - h(x)), and going against it is "
        "a plus. With - the error grows.",
    ),
    "opposite signs": Idea(
        "two weights get opposite signs in their updates",
        "Both weights go against their derivatives, and both derivatives have the same minus, so "
        "both updates have a plus.",
    ),
    "a formula is a program": Idea(
        "two names side by side are taken for a product in a program, too",
        "In a formula things side by side are multiplied. In Python the * must be written, or the "
        "line does not run.",
    ),
    "plus for times": Idea(
        "the learning rate is added to the sum",
        "The learning rate multiplies the sum. With + it would not make the step small, and the "
        "error would explode without a warning.",
    ),
    "a sum like a mean": Idea(
        "a sum over samples is taken for a mean",
        "A sum of ten times as many terms is ten times as large, and so is the step. A mean "
        "would stay as it is.",
    ),
    "more samples allow more": Idea(
        "more samples are taken to allow larger steps",
        "More terms already make the steps longer; alpha has to make them shorter again, as it "
        "must stay below 2/n.",
    ),
    "weights made small": Idea(
        "learning is taken to make weights small",
        "Weights may become large or small, whatever makes predictions good. Making them small "
        "is a penalty of its own.",
    ),
    "gradient made small": Idea(
        "the gradient is taken for what is to be made small",
        "A small gradient is found at a minimum, but on a saddle and on a hilltop, too. What "
        "counts is the loss: the errors.",
    ),
    "examples set the step": Idea(
        "the number of examples is taken for what sets the step",
        "The examples decide the gradient; how far a step follows it is the learning rate.",
    ),
    "start sets the step": Idea(
        "the initial values are taken for what sets the step",
        "They decide where descent begins; how far a step goes is the learning rate.",
    ),
    "jumping is diverging": Idea(
        "jumping over the minimum is taken for divergence",
        "It diverges only if each step lands further away. Here each lands nearer, so the "
        "learning rate is below the limit.",
    ),
    "zigzag from small steps": Idea(
        "a zigzag is taken for a sign of small steps",
        "Small steps come closer from one side. To jump to the other side a step has to be too "
        "long.",
    ),
    "smaller is always better": Idea(
        "a smaller learning rate is taken to be always better",
        "The loss falls smoothly, so steps are not too long. They are too short: a smaller "
        "learning rate would take even longer.",
    ),
    "slow is converged": Idea(
        "a slow run is taken for one that has converged",
        "A loss that is still falling has not converged. Longer steps get further in the same "
        "time.",
    ),
    "waits for divergence to end": Idea(
        "divergence is taken for something that ends by itself",
        "Every step multiplies the distance from the minimum by more than 1, so more steps make "
        "it worse. Make the steps shorter.",
    ),
    "faster out of divergence": Idea(
        "longer steps are taken for a way out of divergence",
        "There is no hill to get over: the steps are too long already and land further away each "
        "time. Make them shorter.",
    ),
    "one minimum": Idea(
        "all minima are taken to be equally low",
        "A bowl has one minimum. A loss with several valleys can have a different height in each "
        "of them.",
    ),
    "gradient tells the depth": Idea(
        "the size of the gradient is taken for the depth of a valley",
        "At the bottom of every valley the gradient is 0. It does not tell how deep the valley is.",
    ),
    "right by luck": Idea(
        "random weights are taken for lucky guesses",
        "Hardly any random weight is right at first. They only have to differ, so that units get "
        "different gradients.",
    ),
    "equal cannot learn": Idea(
        "equal weights are taken to stop all learning",
        "Weights that are equal, and not 0, do learn, but all units learn the same: they do the "
        "work of a single unit.",
    ),
    "noise falls with the size": Idea(
        "the noise is taken to fall in proportion to the size of the batch",
        "It falls with the square root of the size: a hundred times the samples make it ten "
        "times smaller.",
    ),
    "noise stays": Idea(
        "a mean is taken to be as noisy as a single sample",
        "In a mean errors partly cancel: a hundred times the samples make the noise ten times "
        "smaller.",
    ),
    "full is less exact": Idea(
        "the full batch is taken to be less exact",
        "Its gradient is the exact one. It is expensive because all samples have to be computed "
        "for a single update.",
    ),
    "full gradient is larger": Idea(
        "the gradient of more samples is taken to be larger",
        "The gradient of a batch is a mean, which does not grow with the samples. What grows is "
        "the work for each update.",
    ),
    "more epochs settle": Idea(
        "more epochs are taken to end the noise",
        "The noise is as large in every epoch, and the weights keep moving. Only shorter steps "
        "come closer to the minimum.",
    ),
    "smaller batches settle": Idea(
        "smaller batches are taken to be less noisy",
        "Smaller batches are noisier, so the loss would jump more. Larger batches or a falling "
        "learning rate help.",
    ),
    "new weights from backpropagation": Idea(
        "backpropagation is taken to compute new weights",
        "It computes gradients and changes no weight. The optimiser makes new weights of them.",
    ),
    "optimiser or backpropagation": Idea(
        "the optimiser is taken for a substitute for backpropagation",
        "They work one after the other: backpropagation computes the gradient, and the optimiser "
        "makes a step of it.",
    ),
    "adam always": Idea(
        "Adam is taken to be the best optimiser for every loss",
        "In a narrow ravine it is fast. On a round bowl plain descent wins, with one step. It "
        "depends on the shape of the loss.",
    ),
    "steepest is shortest": Idea(
        "the steepest way is taken for the shortest",
        "The steepest way leads across a ravine and not along it, so plain descent needs many "
        "more steps there.",
    ),
    "backward starts from 0": Idea(
        "backward() is taken to replace old gradients",
        "backward() adds to the gradients that are there. zero_grad() has to make them 0 before "
        "each step.",
    ),
    "zero_grad makes gradients": Idea(
        "zero_grad() is taken for what computes gradients",
        "backward() computes them. zero_grad() only removes the old ones, which otherwise stay "
        "in the sum.",
    ),
    # ideas of the lessons depth, generalise, uses
    "more weights are enough": Idea(
        "the number of weights is taken for what lets a network learn",
        "Layers without activation functions multiply out to a single one, however many weights "
        "they have. What helps is the function between them.",
    ),
    "no gradient without hidden layers": Idea(
        "a network without hidden layers is thought to have no gradient",
        "Its gradients are right, and descent finds the best line; but no line is good enough.",
    ),
    "vanishing is a minimum": Idea(
        "a gradient that vanishes on its way is taken for a minimum",
        "At a minimum the gradients of all layers are near 0. Here only those of the first layers "
        "are, and the loss is still large.",
    ),
    "a rate for each layer": Idea(
        "first layers are thought to have a smaller rate",
        "All layers have the same rate. It multiplies a gradient that is much smaller in the first "
        "ones.",
    ),
    "first layers matter less": Idea(
        "first layers are thought to matter less",
        "All that the network computes goes through its first layers. With tanh or relu, and "
        "suitable initial weights, much more of the gradient reaches them than through sigmoids.",
    ),
    "training loss is all": Idea(
        "the training loss is taken for the loss on new data",
        "A network can learn its samples by heart, with their noise. Data that it has not seen "
        "tell how good it is.",
    ),
    "a small loss is overfitting": Idea(
        "a small training loss is taken for overfitting",
        "A small training loss is no fault. A network overfits if its loss on unseen data is much "
        "larger.",
    ),
    "penalty without gradient": Idea(
        "the penalty is thought to have no gradient",
        "The penalty is a term of the loss that is minimised, and is differentiated like the "
        "others.",
    ),
    "penalty added to the gradient": Idea(
        "the penalty itself is added to the gradient",
        "λw² is added to the loss. Its derivative, 2λw, is added to the gradient.",
    ),
    "dropout in predictions": Idea(
        "dropout is thought to work in predictions",
        "Noise in predictions would only make them worse. In evaluation mode dropout does nothing.",
    ),
    "dropped for good": Idea(
        "dropped units are thought to be removed",
        "Which units are dropped is drawn again at each call, so all of them learn.",
    ),
    "dropout by size": Idea(
        "dropout is thought to choose units with small weights",
        "It draws units at random; it is L2 that looks at the size of weights.",
    ),
    "descent is backpropagation": Idea(
        "gradient descent is taken for backpropagation",
        "Gradient descent uses a gradient. Backpropagation is the way to compute it in a network, "
        "and became popular in 1986.",
    ),
    "perceptron is backpropagation": Idea(
        "the perceptron is taken for backpropagation",
        "The perceptron trains one layer of weights by a rule of its own, which needs no chain "
        "rule. That hidden layers can be trained became known in 1986.",
    ),
    "deep networks came first": Idea(
        "the success of deep networks is taken for the beginning of backpropagation",
        "The network of 2012 was trained by backpropagation, which had been popular since 1986.",
    ),
    "a chain rule for each use": Idea(
        "each kind of data is thought to need a chain rule of its own",
        "The chain rule is the same for any graph of operations, whatever its numbers stand for.",
    ),
    "features are programmed": Idea(
        "somebody is thought to program the features",
        "Hidden units find the features, for pictures and words alike: that is what descent does "
        "with their weights.",
    ),
    "a recommender is a table": Idea(
        "a recommender is thought to store the ratings that it has seen",
        "A table has nothing to say about a rating that is missing. A few numbers for each person "
        "and each film have.",
    ),
    "a recommender is a mean": Idea(
        "a recommender is taken for a mean",
        "A mean is the same for everybody. The numbers that are learned differ from person to "
        "person.",
    ),
    "the world is differentiated": Idea(
        "the world is thought to be part of the graph",
        "How a drive goes depends on road and wind, and they are not in the graph. The "
        "probabilities of the actions are.",
    ),
    "no learning without targets": Idea(
        "there is thought to be no loss without targets",
        "How well it went says which actions to make more probable, and that can be written as a "
        "loss.",
    ),
})


def sweep(y: Value | Recording | Stepper, name: str) -> dict[str, float]:
    """Returns the gradients that a wrong idea about the backward pass gives, by names of nodes.

    y: the root of a graph, which is not changed.
    name: one of "overwrite", "early", "local", "factor", "minus", "square", "constant", "relu";
        "" gives the right gradients.

    Raises:
        TypeError: ``y`` is not a Value.
        ValueError: ``name`` is unknown.
    """
    check_choice(name, "sweep: name", ("", *BACKWARD))
    recording = record(_root(y), misconception=name)
    stepper = Stepper(recording).finish()
    return {node: stepper.grad(node) for node in recording.positions}


def forward(y: Value | Recording | Stepper, name: str) -> dict[str, float]:
    """Returns the numbers that a wrong idea about the forward pass gives, by names of nodes.

    y: the root of a graph, which is not changed.
    name: one of `FORWARD`: "double", "negative square", "open relu", ...; "" gives the right
        numbers.

    Raises:
        TypeError: ``y`` is not a Value.
        ValueError: ``name`` is unknown.
    """
    check_choice(name, "forward: name", ("", *FORWARD))
    rules = FORWARD[name].rules if name else {}
    recording = y if isinstance(y, Recording) else record(_root(y))
    data: list[float] = []
    for node in recording.nodes:
        number = node.data
        if node.op:
            compute = rules.get(node.op, lookup(node.op).forward)
            number = float(compute(*[data[arg] for arg in node.args]))
        data.append(number)
    return {node: data[position] for node, position in recording.positions.items()}


def _root(y: Value | Recording | Stepper) -> Value:
    """Returns the root of a graph that is given as one, as its recording or as a stepper."""
    recording = y.recording if isinstance(y, Stepper) else y
    return recording.values()[-1] if isinstance(recording, Recording) else recording
