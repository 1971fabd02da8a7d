"""A recording as an animation: GIF, animated PNG or WebP."""
