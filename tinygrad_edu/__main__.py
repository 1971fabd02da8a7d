"""``python -m tinygrad_edu`` is the command line `tinygrad-edu`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
