"""Make a backbone again from the tensors it was saved as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from boost_edge.models.backbones import Backbone, build_backbone
from boost_edge.models.pca import restore_pca
from boost_edge.runtime.errors import UsageError, WeightsError
from boost_edge.runtime.manifest import Weights

__all__ = ["restore_backbone"]


def restore_backbone(
    name: str,
    *,
    taps: Sequence[str],
    image_size: int,
    weights: Weights,
    state: Mapping[str, Tensor],
) -> Backbone:
    """Build a backbone and give it the ``state_dict()`` of an earlier one.

    Parameters
    ----------
    image_size
        Edge S in pixels; a network whose weights depend on it takes the original size only.
    weights
        Where the weights came from in the first place.

    Raises
    ------
    UsageError
        When the backbone does not exist, or its weights belong to another image size.
    WeightsError
        When the tensors are not those of this backbone.
    """
    if name == "pca":
        backbone = restore_pca(state)
        if backbone.image_size != image_size:
            raise UsageError(
                f"pca was fitted at {backbone.image_size} px and works at no other size: train "
                "again with --image-size"
            )
        return backbone
    backbone = build_backbone(name, weights="none", taps=taps, image_size=image_size)
    wanted = backbone.state_dict()
    if wanted.keys() != state.keys():
        raise WeightsError(f"the saved tensors are not those of {name}: train again")
    if any(wanted[key].shape != value.shape for key, value in state.items()):
        raise UsageError(
            f"the weights of {name} belong to another image size than {image_size} px: train "
            "again with --image-size"
        )
    backbone.load_state_dict(dict(state))
    backbone.weights = weights
    return backbone
