"""Running a learner's file in a process of its own.

A file that somebody else wrote runs with limits of time and memory, in an empty folder, without the
environment of this process.  That keeps a mistake from doing harm.  It is no sandbox: a file that
wants to do harm can read, write and delete what its user can.
"""

from .failures import Failure, sentence_of
from .process import LIMITS, Answer, Call, Kept, Limits, Numbers, Read, Run, Step, run

__all__ = [
    "LIMITS", "Answer", "Call", "Failure", "Kept", "Limits", "Numbers", "Read", "Run", "Step",
    "run", "sentence_of",
]
