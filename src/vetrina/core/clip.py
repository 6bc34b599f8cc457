"""Reading sound and video: any usual format in, a bounded number of samples or frames out.

PyAV decodes, which brings FFmpeg's libraries along (the extra ``media``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vetrina.core.errors import DataError, MissingExtra, MissingFile
from vetrina.core.photo import MAX_PIXELS

if TYPE_CHECKING:
    import av.container

__all__ = ["can_read_clips", "check_clip"]

# Containers that hold sound or video themselves. Play lists are not among them: they name further files and addresses.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,flac,flv,gif,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "tta,wav,w64,wv"
)


def can_read_clips() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def check_clip(path: Path, kind: Literal["audio", "video"]) -> None:
    """Open a clip and decode its beginning.

    Raises
    ------
    MissingFile
        When the file does not exist.
    DataError
        When it is empty, no clip, damaged, or holds nothing of that kind.
    MissingExtra
        When PyAV is not installed.
    """
    with _opened(path, kind) as container:
        if next(container.decode(**{kind: 0}), None) is None:
            raise DataError(f"{path.name}: the clip holds no {_OF[kind]}")


_OF = {"audio": "sound", "video": "picture"}


@contextmanager
def _opened(path: Path, kind: Literal["audio", "video"]) -> Iterator[av.container.InputContainer]:
    """The container of a clip that has a stream of that kind; what PyAV raises becomes an error of ours."""
    try:
        import av
    except ImportError:
        raise MissingExtra(
            "Sound and video need PyAV, which is not installed. Install it with: pip install 'vetrina[media]'"
        ) from None
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path.name}: the clip is empty (0 bytes)")
        options = {"format_whitelist": _CONTAINERS}
        # As an open file, so that no name is taken for an address.
        with path.open("rb") as file, av.open(file, "r", options=options, metadata_errors="replace") as container:
            streams = container.streams.audio if kind == "audio" else container.streams.video
            if not streams:
                raise DataError(f"{path.name}: the clip holds no {_OF[kind]}")
            if kind == "video":
                width, height = container.streams.video[0].width, container.streams.video[0].height
                if width * height > MAX_PIXELS:
                    raise DataError(
                        f"{path.name}: the video claims {width:,} × {height:,} pixels; "
                        f"at most {MAX_PIXELS:,} are opened"
                    )
            yield container
    except FileNotFoundError:
        raise MissingFile(f"{path.name}: there is no such clip") from None
    except av.InvalidDataError:
        raise DataError(f"{path.name}: the file is damaged, or no sound or video at all") from None
    except (av.FFmpegError, OSError, ValueError, EOFError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path.name}: the clip cannot be read ({reason})") from None
