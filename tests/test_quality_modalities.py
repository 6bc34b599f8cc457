"""Floors of the modalities on real data, `make floors`: what the docs claim of them, measured again and asserted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from modalities import by_both, missing, retrieval
from vetrina.evaluate import bootstrap_difference

pytestmark = pytest.mark.quality


@pytest.mark.parametrize("encoders", [{}, {"colour": "colour"}], ids=["default", "colour"])
def test_a_photo_and_a_word_find_more_of_what_is_asked_than_either(
    real_data: Path, report: Callable[[str], None], encoders: dict[str, str]
) -> None:
    """Like this, but of another colour: among the top ten of fifty products that the index does not hold."""
    shop = by_both.index(real_data / "fashion", 0, encoders)
    assert len(shop.cases) == 50
    right = {asked: by_both.found(shop, asked)["both"] for asked in by_both.ASKED}
    together = right[by_both.ASKED[0]]
    for asked in by_both.ASKED[1:]:
        lead = bootstrap_difference(together, right[asked])
        assert lead.low > 0, (asked, lead)
    assert together.mean() >= 4.5
    told = ", ".join(f"{asked} {values.mean():.2f}" for asked, values in right.items())
    report(f"of the photo's kind and the word's colour among the top ten: {told}")


def test_gated_fusion_loses_less_by_a_missing_modality_than_concatenation(
    real_data: Path, report: Callable[[str], None]
) -> None:
    """Half of the products without text, photo or attributes, by the fused vector alone. Shoppers are SIMULATED."""
    dataset, encoded = missing.encoded_fashion()
    found = [missing.losses(dataset, encoded, seed, 1500, ["gated", "concatenation"])[0] for seed in range(5)]
    told = []
    for modality in missing.MODALITIES:
        lost = {
            name: np.array([-missing.changes(missing.joined(one[name]))[modality].mean() for one in found])
            for name in ("gated", "concatenation")
        }
        assert lost["gated"].mean() < lost["concatenation"].mean(), (modality, lost)
        shown = ", ".join(f"{name} {values.mean():.4f} ± {values.std(ddof=1):.4f}" for name, values in lost.items())
        told.append(f"no {modality}: {shown}")
    report(f"NDCG@10 lost where half of the products have {'; '.join(told)}")
    whole = {name: np.mean([missing.joined(one[name])["none"].mean() for one in found]) for name in found[0]}
    assert whole["gated"] > whole["concatenation"]


def test_words_find_photos_better_than_colours_and_a_linear_map(real_data: Path, report: Callable[[str], None]) -> None:
    """Held-out titles and photos of two seeds. Over five the benchmark tells of every column on its own."""
    found = list(retrieval.tables(real_data, (0, 1), quick=False))
    report("\n".join(table.text() for table in found))
    # Of six columns surely ahead in as many.
    for system, least in ((retrieval.COLOUR, 6), (retrieval.LINEAR, 5)):
        (lead,) = [row.lead for row in found[0].rows if row.system == system]
        assert lead is not None
        assert all(one.mean > 0 for one in lead.values()), system
        sure = [metric for metric, one in lead.items() if one.low > 0]
        assert len(sure) >= least, (system, sure)
    kinds = {row.system: row.values["articleType"].mean for row in found[1].rows}
    assert kinds[retrieval.CLIP] > kinds[retrieval.COLOUR] + 0.15
