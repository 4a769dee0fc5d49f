"""Attention written out."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models.vision_transformer import (
    EncoderBlock,
)

from boost_edge.models.attention import PlainEncoderBlock, write_out_attention


def test_plain_block_equals_torchvisions() -> None:
    """A block has the same outputs with its attention written out, for any number of tokens."""
    torch.default_generator.manual_seed(0)
    whole = nn.Sequential(EncoderBlock(3, 24, 48, 0.0, 0.0), EncoderBlock(3, 24, 48, 0.0, 0.0))
    whole.eval()
    for parameter in whole.parameters():
        nn.init.normal_(parameter, std=0.3)
    tokens = [torch.randn(2, count, 24) for count in (1, 5, 10)]
    before = [whole(values) for values in tokens]
    write_out_attention(whole)
    assert all(isinstance(block, PlainEncoderBlock) for block in whole)
    for values, expected in zip(tokens, before, strict=True):
        torch.testing.assert_close(whole(values), expected, rtol=1e-4, atol=1e-5)
