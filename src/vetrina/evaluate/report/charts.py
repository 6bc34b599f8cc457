"""Charts as inline SVG: they need no script, print sharply, and say in words what they show.

Colours and fonts are the page's, by class. What differs also differs in form (filled or
hollow, dashes, marks), so that a chart can be read without colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from vetrina.evaluate.evaluation import Calibration, Curve
from vetrina.evaluate.significance import Interval

__all__ = ["SERIES", "Scale", "axis", "bars", "key", "lines", "reliability", "scale_of", "whisker"]

#: So many lines can be told apart in one chart; their classes are s0 (ours), s1, …
SERIES = 5

_DASHES = ("", "7 3", "2 3", "9 3 2 3", "")
_MARKED = 8  # points of a line that get a mark
_WIDE, _HIGH = 360.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 12.0, 10.0, 42.0
_SIDE = 6.0  # per cent kept free at both ends of a chart in a cell, for the labels of its axis


@dataclass(frozen=True)
class Scale:
    """What a chart's axis spans, and where it is marked.

    Attributes
    ----------
    low, high : float
    ticks : tuple of float
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where ``value`` lies, 0 at the low end and 1 at the high one."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)

    def told(self, tick: float) -> str:
        """A tick's label, with as many decimals as the ticks need."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else self.high - self.low
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        if decimals and abs(round(step, decimals) - step) > step / 100:
            decimals += 1
        return f"{tick:,.{decimals}f}".replace("-", "−") if round(tick, decimals) else "0"


def scale_of(values: Iterable[float], *, zero: bool = False, ticks: int = 4) -> Scale:
    """An axis over ``values`` with round ticks.

    Parameters
    ----------
    values : iterable of float
        What is not finite is passed over.
    zero : bool
        Whether 0 must be on it.
    ticks : int
        About so many.

    Examples
    --------
    >>> scale_of([0.27, 0.41]).ticks
    (0.25, 0.3, 0.35, 0.4)
    >>> scale_of([0.1, 0.9], zero=True).low
    0.0
    """
    known = [float(value) for value in values if math.isfinite(value)] + ([0.0] if zero else [])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-9 * max(abs(high), 1e-3):
        low, high = low - 0.05 * (abs(low) or 1), high + 0.05 * (abs(high) or 1)
    rough = (high - low) / ticks
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * times for times in (1, 2, 2.5, 5, 10) if size * times >= rough * (1 - 1e-9))
    # An end that is near a tick moves out to it; another stays where the values end.
    below, above = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    low, high = (below if low - below <= step / 2 else low), (above if above - high <= step / 2 else high)
    marks = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return Scale(low, high, tuple(round(step * place, 12) for place in marks))


def whisker(interval: Interval, scale: Scale, said: str, *, ours: bool) -> str:
    """A dot at the mean and a line over the interval, as wide as its cell; 0 has a line of its own.

    Parameters
    ----------
    interval : Interval
    scale : Scale
        Shared by the cells of a column.
    said : str
        The same in words.
    ours : bool
        Filled; hollow otherwise.
    """
    parts = _grid(scale)
    if math.isfinite(interval.low):
        ends = [_percent(scale, value) for value in (interval.low, interval.high)]
        parts.append(_tag("line", x1=ends[0], x2=ends[1], y1="50%", y2="50%", class_="span"))
        parts += [_tag("line", x1=end, x2=end, y1="32%", y2="68%", class_="span") for end in ends]
    if math.isfinite(interval.mean):
        parts.append(_tag("circle", cx=_percent(scale, interval.mean), cy="50%", r="4.5", class_="dot"))
    return _svg(said, *parts, class_=f"cell {'ours' if ours else 'other'}")


def axis(scale: Scale) -> str:
    """The labels of a column of cells; its cells say their values themselves."""
    labels = [
        _tag("text", escape(scale.told(tick)), x=_percent(scale, tick), y="75%", text_anchor="middle")
        for tick in scale.ticks
    ]
    return _tag("svg", *labels, class_="cell axis", aria_hidden="true")


def bars(pairs: Sequence[tuple[Interval, bool]], scale: Scale, said: str) -> str:
    """Bars one below the other, from 0 to the mean with the interval over its end; ours is filled.

    Parameters
    ----------
    pairs : sequence of (Interval, bool)
        The bool says whether it is ours.
    scale : Scale
        With 0 on it.
    said : str
    """
    parts = _grid(scale)
    for place, (interval, ours) in enumerate(pairs):
        top, kind = 3 + place * 14, "ours" if ours else "other"
        if not math.isfinite(interval.mean):
            continue
        zero, end = scale.share(0), scale.share(interval.mean)
        left, wide = min(zero, end), abs(end - zero)
        parts.append(
            _tag(
                "rect",
                x=_spread(left),
                width=f"{wide * (100 - 2 * _SIDE):.2f}%",
                y=top,
                height=11,
                class_=f"bar {kind}",
            )
        )
        if math.isfinite(interval.low):
            # Light on the bar, dark beyond its end.
            ends = {"over": sorted((interval.low, interval.mean)), "error": sorted((interval.mean, interval.high))}
            for part, (low, high) in ends.items():
                at = {"x1": _percent(scale, low), "x2": _percent(scale, high), "y1": top + 5.5, "y2": top + 5.5}
                parts.append(_tag("line", **at, class_=f"{part} {kind}"))
    return _svg(said, *parts, class_="cell bars", height=6 + 14 * len(pairs))


def lines(curves: Mapping[str, Curve], said: str, *, zero: bool = False) -> str:
    """Curves over one pair of axes, in the order of their series.

    Parameters
    ----------
    curves : mapping of str to Curve
        Not empty, with the same labels.
    said : str
    zero : bool
        Whether both axes begin at 0.
    """
    across = scale_of((x for curve in curves.values() for x in curve.x), zero=zero, ticks=5)
    up = scale_of((y for curve in curves.values() for y in curve.y), zero=zero)
    first = next(iter(curves.values()))
    parts = _axes(across, up, first.x_label, first.y_label, _WIDE, _HIGH)
    # Ours is drawn last, over the others.
    for number, curve in reversed(list(enumerate(curves.values()))):
        points = [
            (_LEFT + across.share(x) * (_WIDE - _LEFT - _RIGHT), _TOP + (1 - up.share(y)) * (_HIGH - _TOP - _BOTTOM))
            for x, y in zip(curve.x, curve.y, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(_tag("polyline", points=path, class_=f"line s{number}", stroke_dasharray=_DASHES[number]))
        parts += [_mark(number, x, y) for x, y in _some(points)]
    return _svg(said, *parts, viewBox=f"0 0 {_WIDE:g} {_HIGH:g}", class_="plot")


def key(number: int) -> str:
    """A sample of the line of one series, for a legend."""
    line = _tag("line", x1=1, x2=33, y1=8, y2=8, class_=f"line s{number}", stroke_dasharray=_DASHES[number])
    return _tag("svg", line, _mark(number, 17, 8), viewBox="0 0 34 16", class_="key", aria_hidden="true")


def reliability(calibration: Calibration, said: str) -> str:
    """What was predicted against what came true, with intervals, and below how many predictions lie where."""
    side, gap, below = 230.0, 34.0, 56.0
    high = _TOP + side + gap + below + 24
    known = [value for one in calibration.bins for value in (one.predicted, one.high)]
    scale = scale_of(known, zero=True)

    def x_of(value: float) -> float:
        return _LEFT + scale.share(value) * side

    def y_of(value: float) -> float:
        return _TOP + (1 - scale.share(value)) * side

    parts = _axes(scale, scale, "predicted", "came true", _LEFT + side + _RIGHT, _TOP + side + _BOTTOM)
    corner = scale.high
    parts.append(_tag("line", x1=x_of(0), y1=y_of(0), x2=x_of(corner), y2=y_of(corner), class_="ideal"))
    most = max((one.n for one in calibration.bins), default=1)
    floor = _TOP + side + gap + below
    for one in calibration.bins:
        x = x_of(one.predicted)
        if math.isfinite(one.low):
            parts.append(_tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=f"{y_of(one.low):.1f}",
                              y2=f"{y_of(one.high):.1f}", class_="span ours"))  # fmt: skip
        parts.append(_mark(0, x, y_of(one.observed)))
        tall = max(one.n / most * (below - 14), 1.0)
        parts.append(
            _tag("rect", x=f"{x - 4:.1f}", y=f"{floor - tall:.1f}", width=8, height=f"{tall:.1f}", class_="count")
        )
    parts.append(_tag("line", x1=_LEFT, x2=_LEFT + side, y1=floor, y2=floor, class_="rule"))
    parts.append(_tag("text", f"{most:,}", x=_LEFT - 8, y=floor - below + 20, text_anchor="end"))
    parts.append(_tag("text", "0", x=_LEFT - 8, y=floor + 4, text_anchor="end"))
    parts.append(_tag("text", "predictions", x=_LEFT + side / 2, y=floor + 18, text_anchor="middle", class_="name"))
    return _svg(said, *parts, viewBox=f"0 0 {_WIDE:g} {high:g}", class_="plot")


def _axes(across: Scale, up: Scale, x_label: str, y_label: str, wide: float, high: float) -> list[str]:
    """Grid, tick labels and names of both axes."""
    inner_wide, inner_high = wide - _LEFT - _RIGHT, high - _TOP - _BOTTOM
    parts = []
    for tick in up.ticks:
        y = _TOP + (1 - up.share(tick)) * inner_high
        parts.append(_tag("line", x1=_LEFT, x2=wide - _RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        parts.append(_tag("text", escape(up.told(tick)), x=_LEFT - 8, y=f"{y + 4:.1f}", text_anchor="end"))
    base = _TOP + inner_high
    for tick in across.ticks:
        x = _LEFT + across.share(tick) * inner_wide
        parts.append(_tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=base, y2=base + 4, class_="rule"))
        parts.append(_tag("text", escape(across.told(tick)), x=f"{x:.1f}", y=base + 17, text_anchor="middle"))
    parts.append(_tag("line", x1=_LEFT, x2=wide - _RIGHT, y1=base, y2=base, class_="rule"))
    middle = _TOP + inner_high / 2
    parts.append(
        _tag("text", escape(x_label), x=_LEFT + inner_wide / 2, y=base + 36, text_anchor="middle", class_="name")
    )
    turned = f"rotate(-90 12 {middle:g})"
    parts.append(_tag("text", escape(y_label), x=12, y=middle, text_anchor="middle", transform=turned, class_="name"))
    return parts


def _mark(number: int, x: float, y: float) -> str:
    """The mark of a series: its form differs as well as its colour."""
    kind = f"mark s{number}"
    forms: dict[int, list[tuple[float, float]]] = {
        1: [(-4, -4), (4, -4), (4, 4), (-4, 4)],
        2: [(0, -5), (5, 4), (-5, 4)],
        3: [(0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)],
        4: [(0, 5), (5, -4), (-5, -4)],
    }
    if number in forms:
        path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in forms[number])
        return _tag("polygon", points=path, class_=kind)
    return _tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="4.5", class_=kind)


def _some(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A few points at about equal distances on the page, both ends among them."""
    if len(points) <= _MARKED:
        return points
    gap = (points[-1][0] - points[0][0]) / (_MARKED - 1)
    kept = [points[0]]
    for point in points[1:-1]:
        if abs(point[0] - kept[-1][0]) >= abs(gap) and abs(points[-1][0] - point[0]) >= abs(gap) / 2:
            kept.append(point)
    return [*kept, points[-1]]


def _grid(scale: Scale) -> list[str]:
    """Upright lines at the ticks of a cell; 0 stands out where values lie on both sides of it."""
    both = scale.low < 0 < scale.high
    return [
        _tag(
            "line",
            x1=_percent(scale, tick),
            x2=_percent(scale, tick),
            y1="0",
            y2="100%",
            class_="zero" if both and tick == 0 else "grid",
        )
        for tick in scale.ticks
    ]


def _percent(scale: Scale, value: float) -> str:
    return _spread(scale.share(value))


def _spread(share: float) -> str:
    return f"{_SIDE + share * (100 - 2 * _SIDE):.2f}%"


def _svg(said: str, *children: str, **attributes: object) -> str:
    return _tag("svg", *children, role="img", aria_label=said, **attributes)


def _tag(name: str, *children: str, **attributes: object) -> str:
    """One element. Attributes are escaped here; children must be elements or escaped text."""
    told = "".join(
        f' {key_ if key_ == "viewBox" else key_.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key_, value in attributes.items()
        if value != ""
    )
    return f"<{name}{told}>{''.join(children)}</{name}>"
