"""A recording or a training run as an animation: GIF, animated PNG or WebP."""
