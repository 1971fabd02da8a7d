"""The debugger's shell: its commands, what they print, and the terminal."""
