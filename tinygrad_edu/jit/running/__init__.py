"""Ways to run a tape (straight-line code, the tape machine, replay), and the cache of machine
code."""
