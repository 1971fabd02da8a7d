"""Gradient descent: the update, its rate, its start, batches and optimisers."""
