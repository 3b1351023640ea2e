"""Decomposition, moments and heat maps on a GPU; skipped where there is none."""

import pytest
import torch

from interpret.decompose import codes, decompose, readout, token_scores, trace
from interpret.moments import HeadMoments
from interpret.pools import TextPool
from interpret.textspan import text_span
from interpret.towers import image_tower
from lightning_modules.attention import split_attention
from tests import interpret_towers as towers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.fixture
def exact():
    """float32 products without TF32, in which the sum of parts would be coarse."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("kind", ["class token", "average", "CoCa", "SigLIP", "EVA02, inner norm"])
def test_parts_are_those_of_the_processor(kind, exact):
    model, images = towers.clip(kind), towers.images(kind)
    expected = decompose(image_tower(model), images)
    found = decompose(image_tower(model.cuda()), images.cuda())
    assert found.residual_error() < 1e-5
    torch.testing.assert_close(found.heads_BLHE.cpu(), expected.heads_BLHE, rtol=1e-4, atol=1e-5)


def test_parts_sum_up_in_mixed_precision():
    model, images = split_attention(towers.clip()).cuda(), towers.images("").cuda()
    with torch.autocast("cuda", torch.bfloat16):
        found = decompose(image_tower(model), images)
    assert found.residual_error() < 0.05


def test_moments_and_texts_are_those_of_the_processor(exact):
    model, images = towers.clip(), towers.images("", count=64)
    texts = torch.nn.functional.normalize(torch.randn(40, 24, dtype=torch.float64), dim=-1)
    pool = TextPool("random", tuple(map(str, range(40))))
    picked = []
    for device in ("cpu", "cuda"):
        tower = image_tower(model.to(device))
        maps, found = readout(tower), trace(tower, images.to(device), with_tokens=True)
        found_codes = codes(found, maps)
        moments = HeadMoments.empty("", *found_codes.shape[1:], device=device)
        moments.update(found_codes)
        span = text_span(moments, maps.maps_LHCE, pool, texts.to(device), num_texts=3, rank=8)
        heat = token_scores(found, maps, texts.to(device, torch.float32))
        picked.append((span.index_LHS.cpu(), heat.cpu()))
    assert torch.equal(picked[0][0], picked[1][0])
    torch.testing.assert_close(picked[0][1], picked[1][1], rtol=1e-3, atol=1e-5)
