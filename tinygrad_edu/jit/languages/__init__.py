"""The texts that a tape is written as.  Today all are programs for LLVM, made by `emitter`.

A new target language gets an emitter and programs of its own here, and an entry in
`running.backend`.
"""
