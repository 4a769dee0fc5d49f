"""Torchvision's transformer block with its attention written out, for export.

``nn.MultiheadAttention`` keeps old conventions (sequence first, a packed projection that it slices)
which an exported graph pays for in a hundred transpositions, reshapes and slices, and at run time
in a few per cent. The arithmetic here is the same.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torchvision.models.vision_transformer import (
    EncoderBlock,
)

__all__ = ["PlainEncoderBlock", "write_out_attention"]


class PlainEncoderBlock(nn.Module):
    """A pre-norm transformer block that shares an ``EncoderBlock``'s weights, without dropout.

    Dosovitskiy et al., "An image is worth 16x16 words" (2021), appendix A.
    """

    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        attention: nn.MultiheadAttention = block.self_attention
        width: int = attention.embed_dim
        self.heads = attention.num_heads
        self.projection = nn.Linear(width, 3 * width, device="meta")
        self.projection.weight = attention.in_proj_weight
        self.projection.bias = attention.in_proj_bias
        self.output: nn.Module = attention.out_proj
        self.ln_1: nn.Module = block.ln_1
        self.ln_2: nn.Module = block.ln_2
        self.mlp: nn.Module = block.mlp

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens ``(N, T, width)`` float32 to the same shape."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.projection(self.ln_1(tokens)).chunk(3, dim=2)
        )
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        tokens = tokens + self.output(mixed)
        result: Tensor = tokens + self.mlp(self.ln_2(tokens))
        return result


def write_out_attention(module: nn.Module) -> None:
    """Replace every transformer block below a module; its outputs stay the same."""
    for name, child in list(module.named_children()):
        if isinstance(child, EncoderBlock):
            setattr(module, name, PlainEncoderBlock(child))
        else:
            write_out_attention(child)
