"""Reading sound and video: any usual format in, a bounded number of samples, or single frames, out.

PyAV decodes, which brings FFmpeg's libraries along (the extra ``media``).
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from vetrina.core.errors import DataError, MissingExtra, MissingFile, VetrinaError

if TYPE_CHECKING:
    import av.container
    import av.video

__all__ = ["Frame", "can_read_clips", "check_clip", "frames_of", "read_sound"]

Kind = Literal["audio", "video"]

# Containers that hold sound or video themselves. Play lists are not among them: they name further files and addresses.
_CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,flac,flv,gif,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "tta,wav,w64,wv"
)
_OF: dict[str, str] = {"audio": "sound", "video": "picture"}

_MAX_PIXELS = 36_000_000  # a frame of 8K has 33 million
# A decoder keeps several frames; those of more pixels than this are decoded one clip at a time.
_LARGE = 9_000_000
_one_large = Lock()

_SIDE = 512  # frames are scaled down to this longer side
_FURTHER = 48  # frames decoded at most to reach a moment from the key frame before it


def can_read_clips() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def check_clip(path: Path, kind: Kind) -> None:
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


def read_sound(path: Path, rate: int, seconds: float) -> npt.NDArray[np.float32]:
    """The sound of a clip, or of the middle of a long one, as one channel.

    What follows a damaged place is left out.

    Parameters
    ----------
    path : Path
        Any sound file, or a video with sound.
    rate : int
        Samples in a second.
    seconds : float
        At most this much is decoded.

    Returns
    -------
    float32 of shape (n_samples,)
        Between -1 and 1.

    Raises
    ------
    MissingFile, DataError, MissingExtra
        As :func:`check_clip`.
    """
    wanted = int(rate * seconds)
    with _opened(path, "audio") as container:
        import av

        length = container.duration  # microseconds
        if length is not None and length > 1.5e6 * seconds:
            _seek(container, int((length - 1e6 * seconds) / 2))
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        parts: list[npt.NDArray[np.float32]] = []
        count = 0
        try:
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    parts.append(part.to_ndarray()[0])
                    count += part.samples
                if count >= wanted:
                    break
            else:
                parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
        except (av.FFmpegError, ValueError):  # the latter where a damaged frame is of another kind than those before
            if not count:
                raise
    samples = np.concatenate([np.empty(0, dtype=np.float32), *parts])[:wanted]
    return np.asarray(np.nan_to_num(samples, posinf=0, neginf=0).clip(-1, 1), dtype=np.float32)


@dataclass(frozen=True)
class Frame:
    """One frame of a video: a photo that :func:`~vetrina.core.photo.read_photo` reads.

    The moments of a clip's frames are evenly spread. What is read is the key frame before the moment.
    Where that is the clip's first, which is often black, or was read for the moment before, it is what
    is on screen at the moment, or as far on as is decoded in a short time.

    Attributes
    ----------
    path : str
    number, of : int
        This is the frame ``number``, counted from 0, of so many.
    """

    path: str
    number: int = 0
    of: int = 1

    def read(self) -> npt.NDArray[np.uint8]:
        """Pixels, upright: uint8 of shape (height, width, 3), scaled down where large.

        Raises
        ------
        MissingFile, DataError, MissingExtra
            As :func:`check_clip`.
        """
        path = Path(self.path)
        with _opened(path, "video") as container:
            with _alone(container):
                frame = self._found(container)
            if frame is None:
                raise DataError(f"{path.name}: the clip holds no picture")
            return _pixels(frame)

    def _found(self, container: av.container.InputContainer) -> av.video.frame.VideoFrame | None:
        length = container.duration or 0
        moment, before = ((self.number + share) / self.of * length / 1e6 for share in (0.5, -0.5))
        start = (container.start_time or 0) / 1e6
        container.streams.video[0].codec_context.skip_frame = "NONREF"
        if moment and length:
            _seek(container, int((start + moment) * 1e6))
        frame = None
        for count, found in enumerate(container.decode(video=0)):
            frame, at = found, float(found.time or 0) - start
            if at >= moment or count >= _FURTHER or (count == 0 and at > max(before, 0)):
                break
        return frame


def frames_of(path: str, count: int) -> tuple[Frame, ...]:
    """So many frames of a video, evenly spread.

    Examples
    --------
    >>> frames_of("dress.mp4", 2)
    (Frame(path='dress.mp4', number=0, of=2), Frame(path='dress.mp4', number=1, of=2))
    """
    return tuple(Frame(path, number, count) for number in range(count))


def _pixels(frame: av.video.frame.VideoFrame) -> npt.NDArray[np.uint8]:
    scale = min(1.0, _SIDE / max(frame.width, frame.height))
    width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
    pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    # Telephones write frames as the sensor lies, and how to turn them.
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _seek(container: av.container.InputContainer, microseconds: int) -> None:
    """To the key frame before a moment; a clip that cannot be sought in stays at its beginning."""
    import av

    try:
        container.seek(microseconds)
    except av.FFmpegError:
        container.seek(0)


def _alone(container: av.container.InputContainer) -> AbstractContextManager[object]:
    stream = container.streams.video[0]
    return _one_large if stream.width * stream.height > _LARGE else nullcontext()


@contextmanager
def _opened(path: Path, kind: Kind) -> Iterator[av.container.InputContainer]:
    """The container of a clip that has a stream of that kind; what PyAV raises becomes an error of ours."""
    try:
        import av
    except ImportError:
        raise MissingExtra(
            "Sound and video need PyAV, which is not installed. Install it with: pip install 'vetrina[media]'"
        ) from None
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode):
            raise DataError(f"{path.name}: the clip cannot be read (not a file)")
        if told.st_size == 0:
            raise DataError(f"{path.name}: the clip is empty (0 bytes)")
        options = {"format_whitelist": _CONTAINERS}
        # As an open file, so that no name is taken for an address.
        with path.open("rb") as file, av.open(file, "r", options=options, metadata_errors="replace") as container:
            streams = container.streams.audio if kind == "audio" else container.streams.video
            if not streams:
                raise DataError(f"{path.name}: the clip holds no {_OF[kind]}")
            if streams[0].codec_context is None:
                raise DataError(f"{path.name}: the clip's codec is not known")
            if kind == "video":
                width, height = container.streams.video[0].width, container.streams.video[0].height
                if width * height > _MAX_PIXELS:
                    raise DataError(
                        f"{path.name}: the video has too many pixels ({width:,} × {height:,}; "
                        f"at most {_MAX_PIXELS // 1_000_000} million are opened)"
                    )
            yield container
    except FileNotFoundError:
        raise MissingFile(f"{path.name}: there is no such clip") from None
    except av.InvalidDataError:
        raise DataError(f"{path.name}: the file is damaged, or no sound or video at all") from None
    except VetrinaError:
        raise
    except Exception as error:
        # On damaged files PyAV raises FFmpeg's errors, and now and then something else.
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path.name}: the clip cannot be read ({reason})") from error
