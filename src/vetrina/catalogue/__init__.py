"""What a shop brings: products, photos, events and judgements, read, checked and made canonical."""

from vetrina.catalogue.guess import column_called, guess_event_mapping, guess_item_mapping
from vetrina.catalogue.ingest import Ingested, read_events, read_items
from vetrina.catalogue.judgements import read_judgements
from vetrina.catalogue.mapping import EventMapping, ItemMapping, mapping_toml
from vetrina.catalogue.tables import QUARANTINE_COLUMNS, Table, read_table

__all__ = [
    "QUARANTINE_COLUMNS",
    "EventMapping",
    "Ingested",
    "ItemMapping",
    "Table",
    "column_called",
    "guess_event_mapping",
    "guess_item_mapping",
    "mapping_toml",
    "read_events",
    "read_items",
    "read_judgements",
    "read_table",
]
