"""Tapes in JavaScript: ``f(inputs)`` returns an array.

    >>> from tinygrad_edu import jit, math
    >>> wave = jit(lambda x: x * math.sin(x))
    >>> print(wave.source("javascript", 3.0, name="wave"))
    // wave, written by tinygrad_edu.
    //
    // inputs[0]   x
    // outputs[0]  result
    //
    // The function takes an array of inputs and returns an array of outputs.
    function wave(inputs) {
      inputs = Float64Array.from(inputs);
      if (inputs.length !== 1) throw new RangeError("wave: 1 inputs, not " + inputs.length);
      let t1 = Math.sin(inputs[0]);
      let t2 = inputs[0] * t1;
      return [
        t2,
      ];
    }
    <BLANKLINE>

``+ - * /`` and ``sqrt`` have every bit of Python.  Other functions are those of the engine that
runs the program, which differ in the last digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf, isnan

from ..tape.operations import EQUAL, IF_EQUAL, LESS, LESS_EQUAL, TAKE
from .text import Language

# functions of Math with the name that they have in C
SAME = """
acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh exp expm1 floor hypot log log10 log1p log2
sin sinh sqrt tan tanh trunc
"""

WORDS = """
arguments async await break case catch class const continue debugger default delete do else enum
eval export extends false finally for function get if implements import in instanceof interface let
new null of package private protected public return set static super switch this throw true try
typeof undefined var void while with yield

BigInt DataView Float64Array ArrayBuffer Infinity Math NaN Number Object RangeError inputs r
"""  # keywords, and names that the text uses

# The error function follows s_erf.c of fdlibm: the same intervals and coefficients.
ERF = """\
/*
 * The error function, from s_erf.c of fdlibm:
 *
 * Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
 *
 * Developed at SunPro, a Sun Microsystems, Inc. business.
 * Permission to use, copy, modify, and distribute this
 * software is freely granted, provided that this notice
 * is preserved.
 */
const $erf_tables = {
  pp: [1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
    -5.77027029648944159157e-03, -2.37630166566501626084e-05],
  qq: [1, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
    1.32494738004321644526e-04, -3.96022827877536812320e-06],
  pa: [-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
    3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
    -2.16637559486879084300e-03],
  qa: [1, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
    1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02],
  ra: [-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
    -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
    -8.12874355063065934246e+01, -9.81432934416914548592e+00],
  sa: [1, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
    6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02,
    6.57024977031928170135e+00, -6.04244152148580987438e-02],
  rb: [-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01,
    -1.60636384855821916062e+02, -6.37566443368389627722e+02, -1.02509513161107724954e+03,
    -4.83519191608651397019e+02],
  sb: [1, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
    3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02,
    -2.24409524465858183362e+01],
};

function $erf_quotient(x, p, q) {
  const value = (table) => table.reduceRight((sum, c) => c + x * sum, 0);
  return value($erf_tables[p]) / value($erf_tables[q]);
}

function $erf_tail(x) {  // 1 - erf(x) for x >= 1.25
  if (x >= 28) return 0;
  const s = 1 / (x * x);
  const ratio = x < 1 / 0.35 ? $erf_quotient(s, "ra", "sa") : $erf_quotient(s, "rb", "sb");
  const z = Math.fround(x);  // so z * z is exact
  return Math.exp(-z * z - 0.5625) * Math.exp((z - x) * (z + x) + ratio) / x;
}"""

HELPERS = {
    "$entry": """\
function $entry(index, entries) {
  if (!(index in entries)) throw new RangeError(index + " is not the index of an entry");
  return entries[index];
}""",
    "$c_exp2": "function $c_exp2(x) {\n  return Math.pow(2, x);\n}",
    "$c_pow": """\
function $c_pow(x, y) {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : Math.pow(x, y);
}""",
    "$c_rint": """\
function $c_rint(x) {  // half to even
  const size = Math.abs(x);
  if (!(size < 4503599627370496)) return x;
  const rounded = size + 4503599627370496 - 4503599627370496;
  return x < 0 || Object.is(x, -0) ? -rounded : rounded;
}""",
    "$c_remainder": """\
function $c_remainder(x, y) {
  const size = Math.abs(x), divisor = Math.abs(y);
  if (divisor === Infinity && size < Infinity) return x;
  const rest = size % divisor, other = divisor - rest;
  let result = rest;
  if (rest > other) result = -other;
  if (rest === other) result = rest - 2 * ((0.5 * (size - rest)) % divisor);
  return x < 0 || Object.is(x, -0) ? -result : result;
}""",
    "$rounded": """\
function $rounded(x, digits) {
  if (Number.isNaN(x) || Number.isNaN(digits)) return NaN;
  const isNegative = x < 0 || Object.is(x, -0);
  const sign = (size) => isNegative ? -size : size;
  if (Math.abs(x) === Infinity) return digits === -Infinity ? sign(0) : x;
  if (digits >= 324) return x;
  if (digits < -400) return sign(0);
  const n = Math.trunc(digits);
  // abs(x) = over / under, exactly
  const word = new DataView(new ArrayBuffer(8));
  word.setFloat64(0, Math.abs(x));
  const found = word.getBigUint64(0), exponent = found >> 52n;
  let over = exponent ? (found & 0xfffffffffffffn) | 0x10000000000000n : found;
  let under = 1n << 1074n;
  over <<= exponent ? exponent - 1n : 0n;
  if (n > 0) over *= 10n ** BigInt(n);
  else under *= 10n ** BigInt(-n);
  let whole = over / under;
  const twice = 2n * (over % under);
  if (twice > under || (twice === under && whole % 2n)) whole += 1n;
  return sign(Number(whole + "e" + -n));
}""",
    "$erf_tail": ERF,
    "$c_erf": """\
function $c_erf(x) {
  const size = Math.abs(x);
  if (size < 0.84375) {
    if (size < 3.7e-9) return 0.125 * (8 * x + 1.02703333676410069053 * x);
    return x + x * $erf_quotient(x * x, "pp", "qq");
  }
  if (size >= 1.25) return x < 0 ? $erf_tail(size) - 1 : 1 - $erf_tail(size);
  const result = 8.45062911510467529297e-01 + $erf_quotient(size - 1, "pa", "qa");
  return x < 0 ? -result : result;
}""",
    "$c_erfc": """\
function $c_erfc(x) {
  const size = Math.abs(x);
  if (size < 0.84375) {
    if (size < 1.4e-17) return 1 - x;
    const part = x * $erf_quotient(x * x, "pp", "qq");
    return x < 0.25 ? 1 - (x + part) : 0.5 - (x - 0.5 + part);
  }
  if (size >= 1.25) return x < 0 ? 2 - $erf_tail(size) : $erf_tail(x);
  const part = $erf_quotient(size - 1, "pa", "qa");
  return x < 0 ? 1 + (8.45062911510467529297e-01 + part) : 1 - 8.45062911510467529297e-01 - part;
}""",
}


def number(x: float) -> str:
    """Returns a constant of JavaScript."""
    if isnan(x):
        return "NaN"
    text = repr(x).replace("inf", "Infinity") if isinf(x) else repr(x)
    return f"({text})" if text[0] == "-" else text


def results(outputs: Sequence[str]) -> list[str]:
    """Returns the statements that return the outputs."""
    return ["return [", *[f"  {output}," for output in outputs], "];"]


def library(name: str) -> str | None:
    """Returns the name of the function that computes a function of C."""
    if name == "fabs":
        return "Math.abs"
    if name in SAME.split():
        return f"Math.{name}"
    return f"$c_{name}" if f"$c_{name}" in HELPERS else None


LANGUAGE = Language(
    name="JavaScript",
    suffix=".js",
    number=number,
    library=library,
    operations={
        LESS: "{} < {} ? 1.0 : 0.0",
        LESS_EQUAL: "{} <= {} ? 1.0 : 0.0",
        EQUAL: "{} === {} ? 1.0 : 0.0",
        IF_EQUAL: "{} === {} ? {} : 0.0",
        "?:": "{} !== 0.0 ? {} : {}",
        "fmod": "{} % {}",
        TAKE: "$entry({}, [{}])",
        "round_digits": "$rounded({}, {})",
    },
    helpers=HELPERS,
    head="",
    comment=("", "// ", ""),
    declare="let ",
    end=";",
    indent="  ",
    function="function {name}({parameters}) {{\n{body}\n  return {result};\n}}",
    parameter="{}",
    part="function {name}(inputs, r) {{\n{body}\n}}",
    main="function {name}(inputs) {{\n{body}\n}}",
    enter=[
        "inputs = Float64Array.from(inputs);",
        'if (inputs.length !== {count}) throw new RangeError("{name}: {count} inputs, not " + '
        "inputs.length);",
    ],
    kept="const r = new Float64Array({places});",
    results=results,
    notes=["The function takes an array of inputs and returns an array of outputs."],
    reserved=frozenset(WORDS.split()),
)
