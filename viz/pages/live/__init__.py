"""The live part of a page: the engine in JavaScript, and the graph that it computes again.

``engine.js`` is the engine, ``rows.js`` stands for the table, which `rows` writes, ``recording.js``
makes the steps and their sentences, and ``texts.js`` writes numbers as Python does.
"""
