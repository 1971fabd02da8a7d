"""A training run as numbers, for pages and animations: the model at every snapshot, the loss."""
