"""Finding the words for colours in a text; the words themselves are in colours.txt, with their source."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import ImageColor

__all__ = ["Named", "colours_in", "joined", "known_colours"]

_FILE = Path(__file__).with_name("colours.txt")
_ENDINGS = ("", "e", "er", "es", "en", "em")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_WORD = re.compile(r"\w+")
_APOSTROPHE = re.compile(r"['’]")
_LONGEST = 4  # words of a name


class Named(NamedTuple):
    """A colour that a text names: ``name`` as in :func:`joined`, ``shade`` -1 for dark, 1 for light, 0 for neither."""

    name: str
    shade: int


class _Words(NamedTuple):
    """The file: sRGB by name, what holds a colour's word and is none, and shades before and after a colour."""

    colours: dict[str, tuple[int, int, int]]
    others: frozenset[str]
    before: dict[str, int]
    after: dict[str, int]


def joined(name: str) -> str:
    """A name in the one form that is looked up: case and accents folded, without spaces or hyphens.

    Examples
    --------
    >>> joined("Off-White"), joined("Crème")
    ('offwhite', 'creme')
    """
    return "".join(_words(name))


def known_colours() -> dict[str, tuple[int, int, int]]:
    """The sRGB of every name in every language, by :func:`joined` name."""
    return _read().colours


def colours_in(text: str, also: Container[str] = ()) -> list[Named]:
    """The colours that a text names, in order.

    Parameters
    ----------
    text : str
    also : container of str
        Further names, in the form of :func:`joined`.

    Examples
    --------
    >>> colours_in("Off-white dress, dark blue belt")
    [Named(name='offwhite', shade=0), Named(name='blue', shade=-1)]
    >>> colours_in("hellblaue Hose"), colours_in("深红色连衣裙"), colours_in("wooden chair")
    ([Named(name='blaue', shade=1)], [Named(name='红色', shade=-1)], [])
    """
    found: list[Named] = []
    words = _words(text)
    at = 0
    while at < len(words):
        if _UNSPACED.search(words[at]):
            found += _in_run(words[at], also)
            at += 1
            continue
        # The longest name wins: navy blue is not blue.
        for count in range(min(_LONGEST, len(words) - at), 0, -1):
            name = "".join(words[at : at + count])
            if name in _read().others:
                break
            if (named := _named(name, also)) is not None:
                found.append(_beside(named, words, at, at + count))
                break
        else:
            count = 1
        at += count
    return found


def _named(name: str, also: Container[str]) -> Named | None:
    """A name by itself, with the Arabic article, or in one word with a German shade."""
    known = known_colours()
    if name in also or name in known:
        return Named(name, 0)
    if name.startswith("ال") and name[2:] in known:
        return Named(name[2:], 0)
    for prefix, shade in (("dunkel", -1), ("hell", 1)):
        rest = name.removeprefix(prefix)
        if rest != name and rest in known:
            return Named(rest, shade)
    return None


def _beside(named: Named, words: list[str], start: int, stop: int) -> Named:
    """The colour with the shade that the word before or after it says."""
    shade = _read().before.get(words[start - 1], 0) if start else 0
    if not shade and stop < len(words):
        shade = _read().after.get(words[stop].removeprefix("ال"), 0)
    return Named(named.name, shade or named.shade)


def _in_run(run: str, also: Container[str]) -> list[Named]:
    """The colours in a run of Chinese or Japanese."""
    known, others, before, _ = _read()
    found: list[Named] = []
    at, shade = 0, 0
    while at < len(run):
        for length in range(min(12, len(run) - at), 0, -1):
            part = run[at : at + length]
            if part in others:
                shade = 0
                break
            if part in known or part in also:
                found.append(Named(part, shade))
                shade = 0
                break
            if part in before:
                shade = before[part]
                break
        else:
            length, shade = 1, 0
        at += length
    return found


def _words(text: str) -> list[str]:
    letters = unicodedata.normalize("NFKD", _APOSTROPHE.sub("", text).casefold())
    return _WORD.findall("".join(one for one in letters if not unicodedata.combining(one)).replace("_", " "))


@cache
def _read() -> _Words:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    words = {name: " ".join(lines).split() for name, lines in sections.items()}
    colours: dict[str, tuple[int, int, int]] = {}
    for name in ImageColor.colormap:
        # "Dark" and "light" are taken as such: CSS's dark grey, for one, is lighter than its grey.
        if name not in words["no colours"] and not name.startswith(("dark", "light")):
            colours[name] = colours[name.replace("gray", "grey")] = _rgb(ImageColor.getrgb(name))
    for line in sections["colours"]:
        own, _, others = line.partition("|")
        name, code = own.split()
        for other in [name, *others.split()]:
            for ending in _ENDINGS if other.endswith("*") else ("",):
                colours[joined(other.rstrip("*") + ending)] = _rgb(code.split(","))
    before, after = (
        {joined(word): shade for shade, name in ((-1, "dark"), (1, "light")) for word in words[f"{name} {side}"]}
        for side in ("before", "after")
    )
    return _Words(colours, frozenset(joined(word) for word in words["other things"]), before, after)


def _rgb(parts: Sequence[int | str]) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in parts[:3])
    return red, green, blue
