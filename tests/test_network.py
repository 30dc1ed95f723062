"""Heads of a released model in a network for another taxonomy."""

from __future__ import annotations

import msgspec
import pytest

from whereas.taxonomy import Taxonomy

pytestmark = pytest.mark.train


def test_network_adopted_heads_are_the_released_ones(taxonomy: Taxonomy) -> None:
    """Also where labels of one axis share what those of another learned."""
    import torch
    from torch import nn

    from whereas.training.network import Network

    one, other = (Network(nn.Identity(), 8, taxonomy, dropout=0.1) for _ in range(2))
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.normal_()
    assert other.adopt(one.heads(), taxonomy, taxonomy) == []
    for name, value in one.heads().items():
        torch.testing.assert_close(other.heads()[name], value, msg=name)


def test_network_new_labels_begin_untrained_and_are_named(taxonomy: Taxonomy) -> None:
    from torch import nn

    from whereas.training.network import Network

    axis = taxonomy["rationales"]
    fewer = {k: v for k, v in axis.labels.items() if k != "cyber"}
    older = msgspec.structs.replace(
        taxonomy,
        axis=[
            msgspec.structs.replace(a, labels=fewer) if "rationales" in a.name else a
            for a in taxonomy.axis
        ],
    )
    one = Network(nn.Identity(), 8, older, dropout=0.1)
    other = Network(nn.Identity(), 8, taxonomy, dropout=0.1)
    new = other.adopt(one.heads(), taxonomy, older)
    assert new == ["rationales=cyber", "background_rationales=cyber"]
