"""Every exception that this package defines, in one tree, and what makes their messages.

::

    TinygradEduError
    |-- GraphError                  a graph cannot be used in this way
    |   |-- StaleGraphError         a leaf got new data after the graph was recorded
    |   `-- TraceError              a traced function needs an unknown number (also a TypeError)
    |-- ExpressionError             text that `parse` does not accept (also a ValueError)
    |-- CheckpointError             a damaged, foreign or unfitting state (also a ValueError)
    |-- DataError                   an unreadable data set or history (also a ValueError)
    |-- NonFiniteError              a number became inf or nan (also an ArithmeticError)
    |-- PrimitiveError              the table has no such row (also a ValueError)
    |-- RenderError                 a drawing cannot become a picture (also a RuntimeError)
    `-- WorkerError                 a worker of an executor died (also a RuntimeError)

There are three warnings: `GradientWarning`, `zero_grad` was probably forgotten; `GraphWarning`, a
result or a comparison is probably not what the program means; and `TrainingWarning`, `fit` did not
train the model.

Wrong types and out-of-range arguments raise the built-in `TypeError` and `ValueError`.
Arithmetic on Values never raises: it follows IEEE 754 (see `primitives`).

Each message names the argument, shows what was given and says what to write.
"""

from .checks import MOST as MOST
from .checks import check_bool as check_bool
from .checks import check_choice as check_choice
from .checks import check_function as check_function
from .checks import check_int as check_int
from .checks import check_list as check_list
from .checks import check_name as check_name
from .checks import check_number as check_number
from .checks import check_size as check_size
from .checks import check_text as check_text
from .checks import check_texts as check_texts
from .checks import check_type as check_type
from .checks import is_list_like as is_list_like
from .exceptions import CheckpointError as CheckpointError
from .exceptions import DataError as DataError
from .exceptions import ExpressionError as ExpressionError
from .exceptions import GradientWarning as GradientWarning
from .exceptions import GraphError as GraphError
from .exceptions import GraphWarning as GraphWarning
from .exceptions import NonFiniteError as NonFiniteError
from .exceptions import PrimitiveError as PrimitiveError
from .exceptions import RenderError as RenderError
from .exceptions import StaleGraphError as StaleGraphError
from .exceptions import TinygradEduError as TinygradEduError
from .exceptions import TraceError as TraceError
from .exceptions import TrainingWarning as TrainingWarning
from .exceptions import WorkerError as WorkerError
from .numbers import exact_number as exact_number
from .numbers import is_exact as is_exact
from .numbers import is_number as is_number
from .numbers import number as number
from .numbers import plain as plain
from .places import LIBRARY_FOLDER as LIBRARY_FOLDER
from .places import PACKAGE_FOLDER as PACKAGE_FOLDER
from .places import owner_of_file as owner_of_file
from .places import user_frame as user_frame
from .places import warn as warn
from .text import counted as counted
from .text import first_line as first_line
from .text import near_names as near_names
from .text import one_line as one_line
from .text import short_repr as short_repr
from .text import shortened as shortened
from .text import some as some
from .wrong import usual_remedy as usual_remedy
from .wrong import wrong_entry as wrong_entry
from .wrong import wrong_type as wrong_type
