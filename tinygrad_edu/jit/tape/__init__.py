"""The tape, a program of numbered registers; lowering a trace to one; and the gradient on it."""
