"""The commands for learning."""
