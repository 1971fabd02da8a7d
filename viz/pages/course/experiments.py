"""A prediction of a lesson with its experiment, run with several settings, as data and as HTML.

The HTML is complete in itself: on paper, and without a script, it says what each choice means and
what the experiment shows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import escape
from typing import Any

from tinygrad_edu.debug.misconceptions import MISCONCEPTIONS
from tinygrad_edu.learn.evidence import FAILED, Claim
from tinygrad_edu.learn.lessons import Part
from tinygrad_edu.learn.lessons.lesson import explained
from tinygrad_edu.learn.settings import choices_of

FACTORS = (0.25, 0.5, 1.5, 2.0)  # of a number among the settings
SLOW = ("generalise", "uses")  # lessons whose experiments run for two settings only
# the settings whose values are names of wrong ideas, and what "" is called then
IDEAS = ("idea", "misconception")
RIGHT_IDEA = "the right backward pass"


def part_data(part: Part, seed: int, has_figure: bool) -> dict[str, Any]:
    """Returns a prediction with its experiment, run with several settings.

    ``shown`` are the choices as they are shown, ``right`` the position of the right one, ``meant``
    what each means; ``variants`` are the experiments, and the one at ``start`` has the usual
    settings; ``setting`` says in words what differs.

    has_figure: whether the lesson's figure follows it, so that one experiment is enough.
    """
    order = [*range(len(part.choices))]
    random.Random(f"{part.ask} {seed}").shuffle(order)
    variants = [*_variants(part, seed, has_figure)]
    meanings = [f"{text[0].upper()}{text[1:]}" for text in part.claim.descriptions.values()]
    start = next(i for i, variant in enumerate(variants) if variant["usual"])
    return {
        "shown": [part.choices[k] for k in order],
        "right": order.index(0),
        "meant": [part.meant[k] for k in order],
        "setting": "; ".join(meanings),
        "start": start,
        "variants": variants,
    }


def _variants(part: Part, seed: int, is_usual: bool) -> Iterator[dict[str, Any]]:
    """Yields the experiment with each of its settings, in their order.

    is_usual: whether the usual settings are enough.
    """
    claim = part.claim
    usual = claim.run(seed)
    for given in [dict(claim.settings)] if is_usual else settings_shown(claim):
        evidence = usual
        if given != dict(claim.settings):
            with suppress(ValueError, TypeError):
                evidence = claim.run(seed, **given)
            if evidence is usual:  # the experiment is not made for this value
                continue
        yield {
            "label": label_of(given),
            "usual": evidence is usual,
            "holds": evidence.holds,
            "sentence": evidence.sentence if evidence.holds else f"{FAILED} {evidence.sentence}",
            "table": [list(row) for row in evidence.table],
            "explain": explained(part, evidence) if evidence.holds else "",
            "settings": given,
        }


def settings_shown(claim: Claim) -> list[dict[str, Any]]:
    """Returns the settings with which an experiment is shown, the numbers in their order."""
    usual = dict(claim.settings)
    found = [usual, {**usual, **claim.negation}]
    if usual and claim.lesson not in SLOW:
        name, value = next(iter(usual.items()))
        others = choices_of(claim.experiment, name) or _multiples(value)
        found += [{**usual, name: other} for other in others]
    different: list[dict[str, Any]] = []
    for given in found:
        if given not in different:
            different.append(given)
    if all(_number(next(iter(given.values()), None)) is not None for given in different):
        different.sort(key=lambda given: float(next(iter(given.values()))))
    return different


def _multiples(value: Any) -> list[Any]:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return []
    if isinstance(value, int):
        return [max(1, round(value * factor)) for factor in FACTORS] if value > 0 else []
    return [value * factor for factor in FACTORS]


def _number(x: Any) -> float | None:
    is_number = isinstance(x, (int, float)) and not isinstance(x, bool)
    return float(x) if is_number else None


def label_of(given: Mapping[str, Any]) -> str:
    """Returns the values of settings as people write them; of several each with its name."""
    texts = [_text(name, x) for name, x in given.items()]
    if len(texts) == 1:
        return texts[0]
    return "; ".join([f"{name}: {text}" for name, text in zip(given, texts)])


def _text(name: str, x: Any) -> str:
    if name in IDEAS:
        return MISCONCEPTIONS[x].title if x else RIGHT_IDEA
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, tuple):
        return ", ".join([_text(name, each) for each in x])
    return f"{x:g}" if isinstance(x, float) else str(x) or "none"


# ---- as HTML -------------------------------------------------------------------------------------


def section(i: int, part: Part, made: Mapping[str, Any], has_figure: bool) -> str:
    """Returns a prediction as HTML: the question, the choices, and what the experiment shows.

    made: its `part_data`.
    """
    usual = made["variants"][made["start"]]
    choices = "".join([
        _choice(f'name="part-{i}" value="{k}"', made["shown"][k], meant, k == made["right"])
        for k, meant in enumerate(made["meant"])
    ])
    rows = [
        "<tr>" + "".join([f"<{tag}>{escape(cell)}</{tag}>" for cell in row]) + "</tr>"
        for row, tag in zip(usual["table"], ["th", *["td"] * len(usual["table"])])
    ]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    figure = "The figure that belongs here needs JavaScript, which is switched off."
    missing = f"<noscript><p>{figure}</p></noscript>" if has_figure else ""
    return (
        f'<section class="part" data-part="{i}"><h2>Prediction {i + 1}</h2>'
        f'<p class="ask">{escape(part.ask)}</p>'
        f'<fieldset><legend class="out-of-sight">Your prediction</legend>{choices}</fieldset>'
        '<p><button type="button" class="predict main" disabled>Show the experiment</button></p>'
        '<div class="reveal" role="group" aria-label="what the experiment shows" tabindex="-1">'
        '<p class="meant" aria-live="polite"></p>'
        f'<p class="sentence" aria-live="polite">{escape(usual["sentence"])}</p>'
        f'<div class="table">{table}</div>'
        f'<p class="explain">{escape(usual["explain"])}</p><div class="control"></div>'
        f'<div class="experiment">{missing}</div></div></section>'
    )


def _choice(attributes: str, text: str, meant: str, is_right: bool) -> str:
    """Returns a choice; what it means is shown on paper, and where no script runs."""
    judged = "Right." if is_right else "That is not it."
    return (
        f'<div class="choice{" right" if is_right else ""}">'
        f'<label><input type="radio" {attributes}> {escape(text)}</label>'
        f'<p class="static"><b>{judged}</b> {escape(meant)}</p></div>'
    )
