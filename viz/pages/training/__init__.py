"""The page that plays a training: its records, the graphs of samples, and its HTML."""
