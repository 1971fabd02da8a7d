"""Networks: depth, unseen data, uses."""
