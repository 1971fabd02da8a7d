"""Worked examples: graphs from lectures and textbooks, and a character GPT."""

from . import gpt
from .lectures import EXAMPLES, lecture_expression, lecture_neuron, shared_node, weight_decay

__all__ = ["EXAMPLES", "gpt", "lecture_expression", "lecture_neuron", "shared_node", "weight_decay"]
