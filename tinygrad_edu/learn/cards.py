"""Flashcards: which are due, and when one comes back.

A card is a kind of question, so its numbers are new at each review.  The schedule is FSRS (Ye, Su
and Cao, KDD 2022), by the package `fsrs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from .lessons import LESSONS, Card
from .progress import CardState, State
from .questions import Question, question
from .questions.ideas import about

CARDS: dict[str, Card] = {
    name: card for lesson in LESSONS.values() for name, card in lesson.cards.items()
}
RATINGS = ("again", "hard", "good", "easy")


def add(state: State, names: Iterable[str], now: datetime, days: int = 1) -> list[str]:
    """Adds cards that are not there yet, due after some days, and returns their names."""
    import fsrs

    new = [name for name in names if name not in state.cards]
    for name in new:
        made = fsrs.Card(card_id=len(state.cards), due=now + timedelta(days=days))
        state.cards[name] = CardState(schedule=dict(made.to_dict()))
    return new


def due(state: State, now: datetime) -> list[str]:
    """Returns the cards that are due by the end of the day, the longest due first."""
    today = now.astimezone().date()
    found = [(when, name) for name, when in dates(state).items() if when.date() <= today]
    return [name for _, name in sorted(found)]


def dates(state: State) -> dict[str, datetime]:
    """Returns when each card is due, in local time; cards that no lesson has are left out."""
    return {
        name: datetime.fromisoformat(state.cards[name].schedule["due"]).astimezone()
        for name in CARDS if name in state.cards
    }


def next_day(state: State) -> tuple[date, int]:
    """Returns the day on which the next card is due, and how many are due on it.

    Raises:
        ValueError: there are no cards.
    """
    days = [due.date() for due in dates(state).values()]
    return min(days), days.count(min(days))


def ask(state: State, name: str) -> Question:
    """Returns the question of a card, another one at each review."""
    card = CARDS[name]
    if card.kind == "idea":
        return about(card.idea, seed=state.cards[name].reviews)
    return question(card.kind, seed=1000 + state.cards[name].reviews, level=card.level)


def review(state: State, name: str, rating: str, now: datetime) -> datetime:
    """Notes a review, and returns when the card is due again.

    rating: "again" for a wrong answer, "hard" for a right one after help, "good", or "easy".
    """
    import fsrs

    card = state.cards[name]
    # without steps of minutes, since nobody waits at a terminal
    scheduler = fsrs.Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)
    before = fsrs.Card.from_dict(cast(Any, card.schedule))
    rated = fsrs.Rating(RATINGS.index(rating) + 1)
    after, _ = scheduler.review_card(before, rated, now.astimezone(UTC))
    card.schedule = dict(after.to_dict())
    card.reviews += 1
    return after.due
