"""Running a tape: as straight-line machine code, on the tape machine, or replayed; and the cache of
machine code."""
