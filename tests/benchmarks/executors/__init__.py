"""Work on executors, and what it would gain on many workers: ``python -m tests.benchmarks
executors``.

`loads` is what runs, here and on workers; `tasks` has the functions that workers import; `costs`
measures what a task costs, and `model` predicts from it; `tables` shows the results.
"""
