"""The text of programs for tapes, written in the intermediate representation of LLVM."""
