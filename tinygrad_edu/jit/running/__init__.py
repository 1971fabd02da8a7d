"""Ways to run a tape: straight-line machine code, the tape machine, replay.  And a code cache."""
