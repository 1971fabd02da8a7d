"""Wrong ideas that give wrong answers to questions about paths, updates, counts and points.

    >>> UPDATES["no rate"].title
    'the rate is left out'

How such an answer is computed stands in the question's file, in `questions.kinds`.
"""

from __future__ import annotations

from typing import NamedTuple


class Idea(NamedTuple):
    """A wrong idea.

    title: the idea as a clause: "the rate is forgotten".
    truth: what is right, and why, in a sentence.
    """

    title: str
    truth: str


PATHS: dict[str, Idea] = {
    "sum of factors": Idea(
        "the local derivatives along the path are added",
        "Along a path local derivatives are multiplied; only different paths are added.",
    ),
    "all paths": Idea(
        "the contributions of all paths are added",
        "That is the whole gradient; one path contributes the product along it.",
    ),
    "inner left out": Idea(
        "the local derivative of the first operation is left out",
        "A change begins there: the inner derivative is a factor like all others.",
    ),
    "outer left out": Idea(
        "the local derivative of the last operation is left out",
        "The change must reach the result: the outer derivative is a factor like all others.",
    ),
    "own size": Idea(
        "every number on the path is multiplied, instead of the local derivatives",
        "A path multiplies local derivatives; the numbers of the nodes only help to compute them.",
    ),
    "consequence": Idea(
        "a line that computes with a wrong number is taken for the mistake",
        "Given the number before it, that line is right. The mistake is where the number came in.",
    ),
    "last line": Idea(
        "the last line with a wrong result is taken for the mistake",
        "Later lines can be wrong because of an earlier one: look for the first, from above.",
    ),
}

UPDATES: dict[str, Idea] = {
    "uphill": Idea(
        "the step goes along the gradient",
        "The gradient points to where the loss grows, so the step is subtracted.",
    ),
    "no rate": Idea(
        "the rate is left out",
        "The gradient is multiplied by the learning rate, which says how far to go.",
    ),
    "rate alone": Idea(
        "the rate alone is the step",
        "The step is the rate times the gradient: where it is steep, the step is long.",
    ),
    "change alone": Idea(
        "the change is taken for the new weight",
        "The change is added to the old weight: w - rate * gradient.",
    ),
    "no decay": Idea(
        "the weight decay is left out",
        "Weight decay adds its factor times the weight to the gradient.",
    ),
    "growing decay": Idea(
        "weight decay makes the weight larger",
        "Its gradient has the sign of the weight; the step against it makes the weight smaller.",
    ),
    "decay without rate": Idea(
        "weight decay is not multiplied by the rate",
        "It is a part of the gradient, and the whole gradient is multiplied by the rate.",
    ),
    "sum for mean": Idea(
        "the gradients of the samples are added, but not divided by their number",
        "The gradient of a mean is the mean of the gradients.",
    ),
    "mean for sum": Idea(
        "the sum of the gradients is divided by the number of samples",
        "The gradient of a sum is the sum of the gradients; only a mean is divided.",
    ),
    "last sample": Idea(
        "only the gradient of the last sample counts",
        "All samples of the batch count: their gradients are added up before the step.",
    ),
    "no momentum": Idea(
        "the velocity of the step before is forgotten",
        "With momentum the velocity is momentum * old velocity + gradient.",
    ),
    "damped gradient": Idea(
        "the new gradient is multiplied by 1 - momentum",
        "Adam does that. SGD with momentum adds the whole gradient to the decayed velocity.",
    ),
    "full velocity": Idea(
        "the old velocity is kept whole",
        "It is multiplied by the momentum first, so old gradients fade.",
    ),
    "no correction": Idea(
        "the running means are not corrected for their start at 0",
        "After one step they hold only 1 - beta of the gradient; Adam divides by 1 - beta**t.",
    ),
    "no root": Idea(
        "the mean is divided by the mean square, without the root",
        "Adam divides by the square root of the mean square, which has the size of a gradient.",
    ),
    "plain step": Idea(
        "the step of plain gradient descent is taken",
        "Adam divides by the size of the gradient: its first step has the length of the rate.",
    ),
    "sgd path": Idea(
        "the optimiser is taken for plain SGD",
        "With plain SGD every change is -rate * gradient, from the first step to the last.",
    ),
    "momentum path": Idea(
        "the optimiser is taken for SGD with momentum",
        "With momentum 0.9 the first change is -rate * gradient; each later one adds 0.9 times "
        "the change before, so steps grow at first.",
    ),
    "rmsprop path": Idea(
        "the optimiser is taken for RMSprop",
        "RMSprop's first change has the length of 10 rates, whatever the gradient, because its "
        "mean square starts at 0; later steps are shorter.",
    ),
    "adam path": Idea(
        "the optimiser is taken for Adam",
        "Adam's first change has the length of the rate, whatever the gradient; the next ones are "
        "about as long while the gradient keeps its sign.",
    ),
}

COUNTS: dict[str, Idea] = {
    "step for each sample": Idea(
        "every sample is taken for an update",
        "An update uses a whole batch, so an epoch has samples / batch size updates.",
    ),
    "step for each epoch": Idea(
        "every epoch is taken for one update",
        "That holds for a batch of all samples; an epoch has one update for each batch.",
    ),
    "one epoch": Idea(
        "only one epoch is counted",
        "Each epoch goes once through all the data, and makes all these updates again.",
    ),
    "batch size times epochs": Idea(
        "the size of a batch is taken for the number of batches",
        "The number of batches is the number of samples divided by the size of a batch.",
    ),
    "rest dropped": Idea(
        "the last, smaller batch is left out",
        "The samples that remain make a smaller batch, which gives an update, too.",
    ),
    "batches across epochs": Idea(
        "a batch is filled up with samples of the next epoch",
        "Each epoch ends with its own last batch, even if it is smaller.",
    ),
    "no biases": Idea(
        "the biases are left out",
        "Each unit has a bias besides its weights, and it is a parameter, too.",
    ),
    "one bias for each layer": Idea(
        "each layer is given one bias",
        "Each unit has a bias of its own.",
    ),
    "units counted": Idea(
        "the units are counted instead of their parameters",
        "Each unit has a weight for every input, and a bias.",
    ),
    "input biases": Idea(
        "the inputs are given biases",
        "Inputs are given numbers; only units that compute have a bias.",
    ),
    "widths added": Idea(
        "the choices along the path are added",
        "For each unit of one layer every unit of the next may follow: the choices multiply.",
    ),
    "edges counted": Idea(
        "the connections are counted instead of the paths",
        "A path runs through all layers, and many paths share a connection.",
    ),
    "all inputs": Idea(
        "the paths from all inputs are counted",
        "The question is about one input; each of the others has as many paths.",
    ),
    "one run for each weight": Idea(
        "one run of the model for each parameter is counted",
        "A central difference needs two: a little above, and a little below.",
    ),
    "one-sided": Idea(
        "one-sided differences are counted",
        "They share the run at the point itself; a central difference has two runs of its own.",
    ),
    "as backpropagation": Idea(
        "finite differences are taken to be as cheap as backpropagation",
        "Backpropagation gets all derivatives in one backward pass; differences need runs for each "
        "parameter.",
    ),
    "every path walked": Idea(
        "every path is walked from the result to the leaf",
        "In topological order a node waits for all its users, so each edge is used once.",
    ),
    "paths counted": Idea(
        "the paths are counted",
        "Paths share their edges, and one backward pass takes each edge once.",
    ),
    "one edge for each node": Idea(
        "c + c is counted as one contribution",
        "c + c uses c twice, so c gets two contributions: one for each operand.",
    ),
    "operations counted": Idea(
        "each operation is counted once",
        "An operation passes on a gradient to each of its operands: a sum or product to two.",
    ),
    "activation left out": Idea(
        "the operand of the activation is left out",
        "The activation is an operation, too, and passes on a gradient to its operand.",
    ),
    "each edge once": Idea(
        "each edge is counted once",
        "Without topological order a node passes on its gradient whenever a contribution arrives.",
    ),
    "reversed": Idea(
        "positive curvature is taken for a maximum",
        "Positive curvature bends upwards, which is a minimum; negative curvature is a maximum.",
    ),
    "first entry": Idea(
        "only the first entry of the Hessian counts",
        "It is the curvature along the first axis only; the other directions count as well.",
    ),
    "trace": Idea(
        "only the trace counts",
        "The trace is the sum of the two curvatures; they can differ in sign all the same.",
    ),
    "determinant": Idea(
        "the sign of the determinant is read like the sign of a second derivative",
        "A negative determinant is a saddle; a positive one leaves a minimum or a maximum, which "
        "the diagonal decides.",
    ),
    "diagonal": Idea(
        "only the diagonal counts",
        "Along a slanted direction the mixed derivative counts, too: compare its square with the "
        "product of the diagonal.",
    ),
    "mixed signs": Idea(
        "entries of both signs are taken for a saddle",
        "The sign of the mixed derivative does not matter, only its square.",
    ),
    "always a minimum": Idea(
        "every point with gradient 0 is taken for a minimum",
        "At maxima and saddles the gradient is 0, too; the curvature tells them apart.",
    ),
    "flat direction": Idea(
        "a mixed derivative of 0 is taken for a flat direction",
        "It only says that the slope along x does not change with y; the curvatures are f_xx and "
        "f_yy.",
    ),
    "half diagonal": Idea(
        "the second derivative of a * x ** 2 is taken for a",
        "It is 2 * a: the exponent comes down at the first derivative.",
    ),
}
