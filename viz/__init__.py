"""Pictures of computation graphs: drawings, pages, animations, plots, and a debugger's shell.

    >>> from tinygrad_edu import Value
    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> y = (a * b + 10).tanh()
    >>> y.backward()
    >>> draw(y)                                     # in a notebook, the picture
    <Drawing: 6 nodes, 5 edges, 0 clusters>
    >>> path = draw(y).save("y.svg")                # doctest: +SKIP

===========  ======================================================================================
`drawing`    a graph as records, DOT text and a picture; a recording as pictures of its steps
`pages`      HTML files that need no network: graphs, training runs, the playground, the course
`training`   the numbers of a training run, for its page and its animation
`animation`  a recording or a training run as GIF, animated PNG or WebP
`plotting`   plots by matplotlib, and the numbers behind them
`shell`      the debugger: its commands, and the terminal
`notebook`   what a notebook shows
===========  ======================================================================================

Only `drawing.render` needs a layout engine, only `plotting.plots` matplotlib.
"""

from . import notebook
from .animation.animate import animate
from .animation.animation import Animation
from .drawing.draw import draw
from .drawing.render import Drawing
from .pages.course.writing import course
from .pages.explore import explore
from .pages.page import Page
from .pages.playground.page import playground
from .plotting import plots
from .shell.repl import debug

__all__ = [
    "Animation", "Drawing", "Page", "animate", "course", "debug", "draw", "explore", "playground",
    "plots",
]


def __dir__() -> list[str]:
    """Returns the public names only, which is what a notebook completes."""
    return __all__


notebook.register()
