"""Neural networks on Values: modules, layers, initialisers, losses, penalties and checkpoints.

    model = nn.MLP(2, [16, 16, 1])
    loss = nn.hinge(model([0.5, -1.0]), 1)
"""

from ..math import log_softmax, softmax
from .checkpoint import load, save
from .init import he, normal, uniform, xavier
from .layers import ACTIVATIONS, MLP, Dropout, Layer, Neuron, Sequential
from .losses import accuracy, binary_cross_entropy, cross_entropy, hinge, l1, l2, mse
from .module import Module, Output, ParameterName
from .transformer import CausalSelfAttention, Embedding, Linear, RMSNorm

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "CausalSelfAttention",
    "Dropout",
    "Embedding",
    "Layer",
    "Linear",
    "Module",
    "Neuron",
    "Output",
    "ParameterName",
    "RMSNorm",
    "Sequential",
    "accuracy",
    "binary_cross_entropy",
    "cross_entropy",
    "he",
    "hinge",
    "l1",
    "l2",
    "load",
    "log_softmax",
    "mse",
    "normal",
    "save",
    "softmax",
    "uniform",
    "xavier",
]


def __dir__() -> list[str]:
    """Returns the public names only, which is what a notebook completes."""
    return __all__
