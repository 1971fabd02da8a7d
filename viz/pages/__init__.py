"""HTML pages that need no network: the explorer of a graph, and the player of a training run."""
