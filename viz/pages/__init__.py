"""HTML pages that need no network: the explorer of a graph, and a training to be played."""
