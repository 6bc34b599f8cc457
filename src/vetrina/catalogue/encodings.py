"""How a file's letters are encoded: told apart where that can be told, and named in a note where it is a guess."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from vetrina.core.errors import DataError

__all__ = ["as_utf8", "first_bytes"]

# Enough of a file's letters to tell what they are.
_SAMPLE = 1 << 20

_HIGH = re.compile(rb"[\x80-\xff]+")
# GB 2312 writes the characters of everyday Chinese, and its punctuation, as two bytes of these.
_GB2312_PAIRS = re.compile(rb"(?:[\xa1-\xa9\xb0-\xf7][\xa1-\xfe])+")
_KANA = re.compile("[\u3041-\u30ff]")


def as_utf8(source: Path | bytes, name: str, encoding: str) -> tuple[Path | bytes, list[str]]:
    r"""The source as UTF-8 without byte order mark, and what was noted on the way.

    A file that is UTF-8 already stays a path, so that it is scanned and not held in memory.

    Parameters
    ----------
    source : Path or bytes
    name : str
        The file's name, for messages.
    encoding : str
        "auto", or a codec's name.

    Raises
    ------
    DataError
        When it is empty, or not in the encoding that was named.

    Examples
    --------
    >>> text, notes = as_utf8("编号,名称,价格\n1,红色连衣裙,59\n".encode("gbk"), "goods.csv", "auto")
    >>> text.decode().splitlines()[1], notes
    ('1,红色连衣裙,59', ['goods.csv: is not UTF-8; read as GB18030 (GBK). Set encoding if letters look wrong.'])
    """
    head = source[:4] if isinstance(source, bytes) else first_bytes(source, 4)
    if not head:
        raise DataError(f"{name}: is empty. A header line and rows were expected.")
    if encoding == "auto" and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding == "auto" and _is_utf8(source):
        if not head.startswith(codecs.BOM_UTF8):
            return source, []
        encoding = "utf-8-sig"
    data = source if isinstance(source, bytes) else source.read_bytes()
    if encoding == "auto":
        text, called = _guessed(data)
        return text.encode(), [f"{name}: is not UTF-8; read as {called}. Set encoding if letters look wrong."]
    try:
        return data.decode(encoding).removeprefix("\ufeff").encode(), []
    except LookupError:
        raise DataError(
            f"{name}: there is no encoding {encoding!r}. Try utf-8, cp1252, gb18030 or shift_jis."
        ) from None
    except UnicodeError as error:
        raise DataError(f"{name}: is not {encoding} ({error}). Set encoding to what it is, or to auto.") from None


def first_bytes(path: Path, count: int) -> bytes:
    """The first ``count`` bytes of a file."""
    with path.open("rb") as stream:
        return stream.read(count)


def _is_utf8(source: Path | bytes) -> bool:
    """Whether all of it decodes, a piece at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        if isinstance(source, bytes):
            for start in range(0, len(source), 1 << 24):
                decoder.decode(source[start : start + (1 << 24)])
        else:
            with source.open("rb") as stream:
                while piece := stream.read(1 << 24):
                    decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _guessed(data: bytes) -> tuple[str, str]:
    """(the text, what it was read as) of bytes that are not UTF-8.

    In a Western encoding bytes above 127 mostly stand alone, between plain letters. In Chinese
    text they stand in pairs; Japanese text as Windows writes it decodes into kana.
    """
    sample = data[:_SAMPLE]
    high = sum(map(len, _HIGH.findall(sample)))
    paired = sum(len(run) for run in _HIGH.findall(sample) if _GB2312_PAIRS.fullmatch(run))
    if paired >= 0.8 * high:
        # Both write two bytes from the same range, but the syllables of Korean end at 0xC8, where
        # two thirds of the Chinese characters, which go by their sound, are passed.
        leads = [lead for run in _HIGH.findall(sample) for lead in run[::2] if lead >= 0xB0]
        korean = sum(lead <= 0xC8 for lead in leads) >= 0.98 * len(leads) and len(leads) >= 20
        for codec, called in [("cp949", "EUC-KR")] * korean + [("gb18030", "GB18030 (GBK)")]:
            text = _decoded(data, codec)
            if text is not None:
                return text, called
    text = _decoded(data, "cp932")
    if text is not None and len(_KANA.findall(text[:_SAMPLE])) * 8 >= high:
        return text, "Shift JIS"
    # Every byte has a meaning in Latin-1, and nearly every one in Windows-1252, which
    # puts letters and quotes where Latin-1 has control characters nobody types.
    text = _decoded(data, "cp1252")
    return (data.decode("latin-1") if text is None else text), "Windows-1252 (Latin-1)"


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None
