"""What a lecturer hands out: banks of questions for other programs, worksheets, and a class test.

    >>> from tinygrad_edu.learn import handouts
    >>> items = handouts.bank(seed=7, count=3)
    >>> [item.name for item in items] == [item.name for item in handouts.bank(seed=7, count=3)]
    True
    >>> print(handouts.gift(items).splitlines()[0])
    // Questions on backpropagation and gradient descent, written by tinygrad_edu.

==============  ===================================================================================
`bank`          questions from a seed, each with all that a writer needs
`formats`       writers for Moodle, GIFT, Anki and plain text
`markup`        texts of questions as HTML
`sheets`        worksheets with their key, as pages to print
`likeness`      questions of equal difficulty
`class_test`    a test before and after a course, and the gain of a class
==============  ===================================================================================
"""

from .bank import MOST_IN_BANK, Item, bank
from .class_test import Answers, Gain, gain, read_answers
from .formats import FORMATS, anki, gift, moodle, plain
from .sheets import MOST_ON_SHEET, Variant, key_page, sheet_page, variants

__all__ = [
    "FORMATS", "MOST_IN_BANK", "MOST_ON_SHEET", "Answers", "Gain", "Item", "Variant", "anki",
    "bank", "gain", "gift", "key_page", "moodle", "plain", "read_answers", "sheet_page", "variants",
]
