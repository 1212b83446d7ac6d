"""What kind of token a text is: a word, a number, punctuation, space, code, a role, or other."""

import re

__all__ = ["KINDS", "kind_of_token"]

KINDS = ("word", "number", "punctuation", "space", "line break", "code", "role", "other")

_ROLE = re.compile(r"<\|[^|]*\|>|</?[A-Za-z_]+>|\[/?[A-Z]+\]")
_NUMBER = re.compile(r"[0-9]+(?:[.,:%/-][0-9]*)*%?")
_CODE = re.compile(r"[(){}\[\]<>=+*/\\|_&^~$#@`]")


def kind_of_token(piece: str) -> str:
    """One of `KINDS`.

    >>> [kind_of_token(piece) for piece in (" river", "4821", ".", " ", "\\n", "():", "<|im_start|>", "x1")]
    ['word', 'number', 'punctuation', 'space', 'line break', 'code', 'role', 'other']
    """
    text = piece.strip()
    if not text:
        return "line break" if "\n" in piece else "space"
    if _ROLE.fullmatch(text):
        return "role"
    if _NUMBER.fullmatch(text) or text.isnumeric():
        return "number"
    if all(letter.isalpha() or letter in "'’-" for letter in text) and any(letter.isalpha() for letter in text):
        return "word"
    if any(letter.isalnum() for letter in text):
        return "other"
    return "code" if _CODE.search(text) else "punctuation"
