"""What writes a tape in another language: LLVM, C, JavaScript and Python."""
