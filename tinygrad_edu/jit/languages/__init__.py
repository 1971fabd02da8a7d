"""What writes a tape in another language: today LLVM only."""
