"""The commands of the course: learn, practice, quiz, cards, progress."""
