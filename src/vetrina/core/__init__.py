"""The nouns that every stage speaks: items, events, windows, requests, ranked lists; and what a component is."""

from vetrina.core.component import Component, Config, component_class, components, create, register
from vetrina.core.impressions import Impressions
from vetrina.core.itemlist import ItemList
from vetrina.core.items import CATEGORY_SEPARATOR, ITEM_COLUMNS, Items
from vetrina.core.log import DAY, EVENT_COLUMNS, HAD, EventKind, EventLog, Windows
from vetrina.core.progress import Progress, Silent
from vetrina.core.query import Filters, Query, Requests
from vetrina.core.space import Choice, Range, Real, Space, Whole
from vetrina.core.truth import Truth

__all__ = [
    "CATEGORY_SEPARATOR",
    "DAY",
    "EVENT_COLUMNS",
    "HAD",
    "ITEM_COLUMNS",
    "Choice",
    "Component",
    "Config",
    "EventKind",
    "EventLog",
    "Filters",
    "Impressions",
    "ItemList",
    "Items",
    "Progress",
    "Query",
    "Range",
    "Real",
    "Requests",
    "Silent",
    "Space",
    "Truth",
    "Whole",
    "Windows",
    "component_class",
    "components",
    "create",
    "register",
]
