"""Backbone, head and readout as one network: what is exported, and what it computes.

The readouts, for an image with posteriors ``p_a`` (one distribution per attribute a of A) and
hidden vector ``h``; every embedding is L2-normalised, so inner products are similarities:

``raw``
    The pooled features: cosine of features.
``hidden``
    ``h``, as in "Boosting image retrieval with accurately labelled small data" (Mersha).
``attributes``
    ``sqrt(p_a)`` of all attributes, divided by ``sqrt(A)``: the mean over attributes of the
    Bhattacharyya coefficient ``sum_k sqrt(p_ak q_ak)`` (Bhattacharyya, 1943).
``blend``
    ``sqrt(b)`` times the attributes and ``sqrt(1 - b)`` times the unit ``h``: the weighted mean
    of both similarities.
``match``
    ``sqrt(w_a) p_a`` of all attributes, and ``sqrt(1 - sum_a w_a |p_a|^2)`` times the unit of the
    head's look; ``w_a`` is the attribute's importance, its share of the whole. The first part
    gives ``sum_a w_a sum_k p_ak q_ak``: the probability that an attribute, drawn by importance,
    is the same in both. What is left to doubt in both is settled by their look. So of two images
    that are alike to a query, the one whose labels are surer comes first.
``together``
    The posteriors ``p`` of the combinations of labels that are known to occur, each the product of
    its labels' posteriors and all of them scaled to sum to 1 (`BoostHead.combine`), times
    ``sqrt(b)``, and ``sqrt(1 - b |p|^2)`` times the unit of the head's look. The first part gives
    ``b sum_c p_c q_c``: the probability that all labels agree in both, times b. The rest is the
    look: it settles what is in doubt, and has a say in images of combinations never trained on.

The posteriors that are put out beside the embedding are, for an image unlike those the head was
trained on, mixed with even odds (`BoostHead.familiarity`): a head is sure of anything that lies far
out. The embedding is read from them as they are, for unfamiliar images have likenesses too.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from boost_edge.models.attention import write_out_attention
from boost_edge.models.backbones import Backbone
from boost_edge.models.head import BoostHead
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import READOUTS, Readout

__all__ = ["FusedEncoder", "fold", "read_out"]

# Smallest norm that is divided by. A half-precision graph can still hold it.
_EPSILON = 1e-6
# Readouts that fill their length up with the head's look.
_LOOKING = frozenset({"match", "together"})


class FusedEncoder(nn.Module):
    """Images to unit embeddings and, where there is a head, to attribute posteriors.

    Parameters
    ----------
    backbone
        What turns images into features.
    head
        The trained head; ``None`` for the readout ``raw`` and only there.
    readout
        What the embedding is; see the module.
    blend
        Share b of the labels in the readouts ``blend`` and ``together``, in [0, 1]; unused
        elsewhere.

    Raises
    ------
    UsageError
        When the parts do not go together.
    """

    def __init__(
        self, backbone: Backbone, head: BoostHead | None, readout: Readout, *, blend: float = 0.5
    ) -> None:
        super().__init__()
        if readout not in READOUTS:
            raise UsageError(f"readout {readout!r} is not one of {', '.join(READOUTS)}")
        if (head is None) != (readout == "raw"):
            raise UsageError(f"readout {readout} {'needs a' if head is None else 'takes no'} head")
        if head is not None and readout == "together":
            _check_together(head)
        if head is not None and head.features != backbone.width:
            raise UsageError(
                f"the head takes {head.features} features, but the backbone makes {backbone.width}"
            )
        if not 0.0 <= blend <= 1.0:
            raise UsageError(f"blend is {blend}, but must be in [0, 1]")
        self.backbone = backbone
        self.head = head
        self.readout: Readout = readout
        self.blend = blend
        self.folded = False
        self.eval()

    @property
    def dimensions(self) -> int:
        """Return the width D of the embedding."""
        if self.head is None:
            return self.backbone.width
        attributes = sum(self.head.classes)
        match self.readout:
            case "attributes":
                return attributes
            case "blend":
                return attributes + self.head.width
            case "match":
                return attributes + self.head.look_width
            case "together":
                return len(self.head.combinations) + self.head.look_width
            case _:
                return self.head.width

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map images ``(N, S, S, 3)`` uint8 RGB to the outputs of the model file.

        Returns
        -------
        tuple
            ``(N, D)`` float32 of norm 1 (or all zeros where the readout is) and, unless there is
            no head, the posteriors ``(N, sum K_a)`` float32.
        """
        features = self.backbone(image)
        if self.head is None:
            return (_unit(features),)
        return self.read(features)

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map pooled features ``(N, F)`` float32 to embeddings and posteriors, without images.

        Raises
        ------
        UsageError
            When there is no head.
        """
        if self.head is None:
            raise UsageError("an encoder without a head has no attributes to read")
        return read_out(self.head, features, self.readout, blend=self.blend, calibrated=self.folded)


def read_out(
    head: BoostHead,
    features: Tensor,
    readout: Readout,
    *,
    blend: float = 0.5,
    calibrated: bool = False,
) -> tuple[Tensor, Tensor]:
    """Map pooled features ``(N, F)`` to embeddings ``(N, D)`` and posteriors, both float32.

    The posteriors are those to show: in doubt where the image is unfamiliar. ``calibrated`` says
    that the head's temperatures are in its classifiers already; ``readout`` is any but ``raw``.

    Raises
    ------
    UsageError
        When the head knows no combinations of labels, and the readout is ``together``.
    """
    hidden, logits = head(features)
    if not calibrated:
        scales = head.temperature.unbind()
        logits = tuple(part / scale for part, scale in zip(logits, scales, strict=True))
    posteriors = [part.softmax(dim=1) for part in logits]
    attributes = torch.cat(posteriors, dim=1)
    # A graph drops it where nothing asks for it.
    look = head.look(features)
    match readout:
        case "attributes":
            embedding = _unit(attributes.sqrt())
        case "blend":
            weighted = (
                blend**0.5 * _unit(attributes.sqrt()),
                (1.0 - blend) ** 0.5 * _unit(hidden),
            )
            embedding = _unit(torch.cat(weighted, dim=1))
        case "match":
            shares = (head.importance / head.importance.sum()).unbind()
            sure = torch.cat(
                [share.sqrt() * part for share, part in zip(shares, posteriors, strict=True)], dim=1
            )
            embedding = _filled(sure, look)
        case "together":
            _check_together(head)
            embedding = _filled(blend**0.5 * head.combine(logits), look)
        case _:
            embedding = _unit(hidden)
    if (believed := head.familiarity(look)) is not None:
        attributes = believed * attributes + (1.0 - believed) * head.even
    return embedding, attributes


def _check_together(head: BoostHead) -> None:
    known = len(head.combinations)
    if known < 2:
        raise UsageError(
            "readout together needs two combinations of labels that several training images have, "
            f"and this head knows {known}: label more images, choose fewer attributes, or choose "
            "another readout"
        )


def _filled(sure: Tensor, look: Tensor) -> Tensor:
    """Return ``sure``, whose norm is at most 1, with the look at the length that is left of 1."""
    # Never quite zero, for the norm must be 1 whatever rounding does.
    doubt = (1.0 - sure.square().sum(dim=1, keepdim=True)).clamp(min=_EPSILON)
    return _unit(torch.cat((sure, doubt.sqrt() * _unit(look)), dim=1))


def fold(encoder: FusedEncoder) -> FusedEncoder:
    """Return an encoder with the same outputs (to 1e-4) and less work, for export.

    Batch normalisation goes into the convolution before it, the pixels' scaling into the first
    layer, the features' standardisation into the head's first product and the temperatures into
    its classifiers; attention is written out in plain products. The mean is subtracted from the
    pixels where the first convolution pads (a folded mean would be wrong at the border) and
    folded where it does not. The encoder given is left as it was; the result is for evaluation
    only.
    """
    folded = copy.deepcopy(encoder).eval()
    if encoder.folded:
        return folded
    with torch.no_grad():
        _fuse_batch_norms(folded.backbone)
        write_out_attention(folded.backbone)
        _fold_pixels(folded.backbone)
        if folded.head is not None:
            # Without components, the look is the standardised features themselves.
            looks = folded.readout in _LOOKING or folded.head.typical is not None
            looks = looks and folded.head.projection is None
            _fold_head(folded.head, standardisation=not looks)
    folded.folded = True
    return folded


def _unit(values: Tensor) -> Tensor:
    return normalize(values, dim=1, eps=_EPSILON)


def _fuse_batch_norms(module: nn.Module) -> None:
    """Fuse each convolution with the batch normalisation that torchvision registers next to it."""
    previous: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and previous and isinstance(previous[1], nn.Conv2d):
            setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
            setattr(module, name, nn.Identity())
        else:
            _fuse_batch_norms(child)
        previous = (name, child)


def _fold_pixels(backbone: Backbone) -> None:
    offset, scale = backbone.normalise.offset, backbone.normalise.scale
    if offset is None or scale is None:
        return
    first = next(m for m in backbone.stages.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    # One weight for each output, colour channel and position, for both kinds of layer.
    weight = first.weight.reshape(first.weight.shape[0], 3, -1) * scale.reshape(3, 1)
    first.weight.copy_(weight.reshape(first.weight.shape))
    backbone.normalise.scale = None
    if isinstance(first, nn.Conv2d) and first.padding != (0, 0):
        return
    shift = -(weight * offset.reshape(3, 1)).sum(dim=(1, 2))
    bias = shift if first.bias is None else first.bias + shift
    first.bias = nn.Parameter(bias, requires_grad=False)
    backbone.normalise.offset = None


def _fold_head(head: BoostHead, *, standardisation: bool) -> None:
    if head.standardise and standardisation:
        if head.projection is not None:
            _fold_standardisation(head, head.projection)
        if not head.reduces:
            _fold_standardisation(head, head.hidden)
        head.mean.zero_()
        head.std.fill_(1.0)
        head.standardise = False
    for classifier, temperature in zip(head.classifiers, head.temperature, strict=True):
        for parameter in classifier.parameters():
            parameter.div_(temperature)
    head.temperature.fill_(1.0)


def _fold_standardisation(head: BoostHead, first: nn.Linear) -> None:
    first.weight.div_(head.std)
    first.bias.sub_(first.weight @ head.mean)
