"""Ways to run a tape: straight-line machine code, the tape machine, replay; and the cache of code."""
