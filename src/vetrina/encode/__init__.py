"""Encoders: one file per modality, items in, one float32 vector per item out."""

from vetrina.encode.attributes import AttributesConfig, AttributesEncoder
from vetrina.encode.audio import AudioConfig, AudioEncoder
from vetrina.encode.base import Encoder
from vetrina.encode.behaviour import Item2Vec, Item2VecConfig
from vetrina.encode.clip import CatalogueClipConfig, CatalogueClipEncoder
from vetrina.encode.colour import ColourConfig, ColourEncoder
from vetrina.encode.photo import PhotoConfig, PhotoEncoder
from vetrina.encode.pretrained import PretrainedEncoder
from vetrina.encode.public_models import PublicModelConfig
from vetrina.encode.rnn import RnnConfig, RnnEncoder
from vetrina.encode.text import TfidfConfig, TfidfEncoder
from vetrina.encode.transformer import TransformerEncoder
from vetrina.encode.video import VideoConfig, VideoEncoder

__all__ = [
    "AttributesConfig",
    "AttributesEncoder",
    "AudioConfig",
    "AudioEncoder",
    "CatalogueClipConfig",
    "CatalogueClipEncoder",
    "ColourConfig",
    "ColourEncoder",
    "Encoder",
    "Item2Vec",
    "Item2VecConfig",
    "PhotoConfig",
    "PhotoEncoder",
    "PretrainedEncoder",
    "PublicModelConfig",
    "RnnConfig",
    "RnnEncoder",
    "TfidfConfig",
    "TfidfEncoder",
    "TransformerEncoder",
    "VideoConfig",
    "VideoEncoder",
]
