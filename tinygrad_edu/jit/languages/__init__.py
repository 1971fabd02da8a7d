"""The languages that a tape is written in."""
