"""The page that plays a training run: its records, the graphs of samples, and its HTML."""
