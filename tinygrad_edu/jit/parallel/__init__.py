"""Work on a `concurrent.futures.Executor`: what travels, in what order results come, what fails."""
