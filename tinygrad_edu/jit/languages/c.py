"""Tapes in C: ``void f(const double *inputs, double *outputs)``.

    >>> from tinygrad_edu import jit
    >>> square = jit(lambda x: x * x)
    >>> print(square.source("c", 3.0, name="square"))
    #include <math.h>
    <BLANKLINE>
    /*
     * square, written by tinygrad_edu.
     *
     * inputs[0]   x
     * outputs[0]  result
     *
     * To keep every bit, compile with -ffp-contract=off -fno-builtin, not with -ffast-math.
     */
    void square(const double *inputs, double *outputs) {
        double t1 = inputs[0] * inputs[0];
        outputs[0] = t1;
    }
    <BLANKLINE>

The C library computes the functions, as it does for Python's `math`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf, isnan

from ..tape.operations import EQUAL, IF_EQUAL, LESS, LESS_EQUAL, TAKE
from .text import Language

MOST_DECIMAL = 1e15  # whole numbers below it are written in decimal, which is exact and shorter

HELPERS = {
    "$entry": """\
static double $entry(double index, int count, const double *entries) {
    int is_inside = index >= 0.0 && index < count;
    return is_inside && index == (int)index ? entries[(int)index] : NAN;
}""",
    "$rounded": """\
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double $rounded(double x, double digits) {
    char text[1200];
    if (isnan(x) || isnan(digits)) return NAN;
    if (isinf(x)) return digits == -INFINITY ? copysign(0.0, x) : x;
    if (digits >= 324.0) return x;
    if (digits < -400.0) return copysign(0.0, x);
    snprintf(text, sizeof text, "%.766e", fabs(x));  /* all digits */
    int exponent = atoi(strchr(text, 'e') + 1);
    int wanted = exponent + (int)digits;
    if (wanted >= 0) {
        snprintf(text, sizeof text, "%.*e", wanted, fabs(x));
    } else {
        int is_above = text[0] > '5' || (text[0] == '5' && text[2 + strspn(text + 2, "0")] != 'e');
        snprintf(text, sizeof text, "%de%d", wanted == -1 && is_above, exponent + 1);
    }
    return copysign(strtod(text, NULL), x);
}""",
}

WORDS = """
alignas alignof auto bool break case char const constexpr continue default do double else enum
extern false float for goto if inline int long main nullptr register restrict return short signed
sizeof static struct switch thread_local true typedef typeof union unsigned void volatile while

acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh drem erf erfc exp exp10 exp2
expm1 fabs fdim finite floor fma fmax fmin fmod fpclassify frexp gamma hypot ilogb isfinite isinf
isnan isnormal j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan
nearbyint nextafter nexttoward pow remainder remquo rint round scalb scalbln scalbn signbit signgam
significand sin sincos sinh sqrt tan tanh tgamma trunc y0 y1 yn

abort abs atexit atof atoi atol bsearch calloc div exit fopen free fprintf fscanf getenv labs ldiv
malloc memcmp memcpy memmove memset perror printf putc puts qsort rand random realloc remove rename
scanf snprintf sprintf srand sscanf strcat strchr strcmp strcpy strlen strspn strtod strtol system
"""  # keywords, and functions of the headers that the text includes


def number(x: float) -> str:
    """Returns a constant of C."""
    if isnan(x):
        return "NAN"
    size = abs(x)
    if isinf(x):
        text = "INFINITY"
    else:
        text = repr(size) if size < MOST_DECIMAL and size == int(size) else size.hex()
    return text if str(x)[0] != "-" else f"(-{text})"


def results(outputs: Sequence[str]) -> list[str]:
    """Returns the statements that store the outputs."""
    return [f"outputs[{i}] = {output};" for i, output in enumerate(outputs)]


LANGUAGE = Language(
    name="C",
    suffix=".c",
    number=number,
    library=lambda name: name,
    operations={
        LESS: "{} < {} ? 1.0 : 0.0",
        LESS_EQUAL: "{} <= {} ? 1.0 : 0.0",
        EQUAL: "{} == {} ? 1.0 : 0.0",
        IF_EQUAL: "{} == {} ? {} : 0.0",
        "?:": "{} != 0.0 ? {} : {}",
        TAKE: "$entry({}, {count}, (const double[]){{{}}})",
        "round_digits": "$rounded({}, {})",
    },
    helpers=HELPERS,
    head="#include <math.h>",
    comment=("/*", " * ", " */"),
    declare="double ",
    end=";",
    indent="    ",
    function="static double {name}({parameters}) {{\n{body}\n    return {result};\n}}",
    parameter="double {}",
    part="static void {name}(const double *inputs, double *r) {{\n{body}\n}}",
    main="void {name}(const double *inputs, double *outputs) {{\n{body}\n}}",
    kept="double r[{places}];",
    results=results,
    notes=[
        "To keep every bit, compile with -ffp-contract=off -fno-builtin, not with -ffast-math.",
    ],
    reserved=frozenset(WORDS.split()),
)
