"""Encoders: one file per modality, items in, one float32 vector per item out."""

from vetrina.encode.base import Encoder
from vetrina.encode.text import TfidfConfig, TfidfEncoder

__all__ = ["Encoder", "TfidfConfig", "TfidfEncoder"]
