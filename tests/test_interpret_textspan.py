"""TextSpan from moments chooses what the paper's loop over all images chooses."""

import json
import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from interpret.moments import HeadMoments
from interpret.pools import TextPool
from interpret.textspan import TextSpan, span, text_span
from tests.moment_samples import draw, moments_of

LAYERS, HEADS, WIDTH, EMBEDDING, IMAGES, TEXTS = 2, 3, 9, 24, 150, 200


def texts_of(count, seed=5, width=EMBEDDING):
    text_TE = F.normalize(draw(count, width, seed=seed) + 0.5, dim=-1)
    return TextPool("pool.txt", tuple(f"text {number}" for number in range(count))), text_TE


def samples(width=WIDTH, embedding=EMBEDDING):
    """Codes of falling variance about a mean, and maps."""
    codes = draw(IMAGES, LAYERS, HEADS, width) * torch.exp(-torch.arange(width) / 4.0)
    maps = draw(LAYERS, HEADS, width, embedding, seed=2) / embedding**0.5
    return codes + draw(LAYERS, HEADS, width, seed=1) / 3, maps


def found_of(codes, maps, text_TE, **settings):
    pool = TextPool("pool.txt", tuple(f"text {number}" for number in range(len(text_TE))))
    return text_span(moments_of(codes), maps, pool, text_TE, **settings)


def contributions(codes, maps):
    return np.einsum("nlhk,lhkd->lhnd", codes.double(), maps.double())


def numerical_rank(data):
    value = np.linalg.svd(data, compute_uv=False)
    return int((value > 1e-6 * value[0]).sum())


def paper_loop(data, text, steps, rank=None, by_direction=False):
    """Algorithm 1 on images (N, E) and texts (T, E): picks, shares, reconstruction."""
    right = np.linalg.svd(data, full_matrices=False)[2][: rank or numerical_rank(data)]
    text = text @ right.T @ right
    rest = data - data.mean(0)
    rebuilt = np.repeat(data.mean(0)[None], len(data), 0)
    total, taken, shares = (rest**2).sum(), [], []
    for _ in range(steps):
        score = (rest @ text.T).std(0)
        if by_direction:
            score = score / np.linalg.norm(text, axis=1).clip(1e-9)
        score[taken] = -1
        best = int(score.argmax())
        unit = text[best] / np.linalg.norm(text[best])
        along = np.outer(rest @ unit, unit)
        rest, rebuilt = rest - along, rebuilt + along
        text = text - np.outer(text @ unit, unit)
        taken.append(best)
        shares.append((along**2).sum() / total)
    return taken, shares, rebuilt


@pytest.mark.parametrize("rank", [None, 5])
@pytest.mark.parametrize("method", ["textspan", "somp"])
def test_texts_shares_and_reconstruction_are_those_of_the_loop_over_images(method, rank):
    codes, maps = samples()
    _, text_TE = texts_of(TEXTS)
    filled = rank or WIDTH
    steps = filled - (method == "somp")  # the last direction is the rest of any text: all are equal
    found = found_of(codes, maps, text_TE, num_texts=steps, rank=rank, method=method)
    data = contributions(codes, maps)
    new_maps, offset_LHE = found.replaced(maps)
    rebuilt = contributions(codes, new_maps) + offset_LHE[:, :, None].numpy()
    assert found.rank_LH.tolist() == [[filled] * HEADS] * LAYERS
    for place in np.ndindex(LAYERS, HEADS):
        taken, shares, expected = paper_loop(
            data[place], text_TE.numpy(), steps, rank, by_direction=method == "somp"
        )
        assert found.index_LHS[place].tolist() == taken
        np.testing.assert_allclose(found.share_LHS[place], shares, atol=1e-12)
        np.testing.assert_allclose(rebuilt[place], expected, atol=1e-11)


def test_directions_are_orthonormal_and_explain_more_and_more():
    codes, maps = samples()
    found = found_of(codes, maps, texts_of(TEXTS)[1], num_texts=7)
    products = found.direction_LHSE @ found.direction_LHSE.mT
    torch.testing.assert_close(products, torch.eye(7).double().expand_as(products))
    explained = found.explained_LHS
    assert (explained.diff(dim=-1) >= 0).all()
    assert ((explained > 0) & (explained < 1)).all()
    for indices in found.index_LHS.flatten(0, 1).tolist():
        assert len(set(indices)) == 7


def test_a_pool_that_spans_a_head_explains_all_of_it_and_no_text_follows():
    codes, maps = samples()
    found = found_of(codes, maps, texts_of(TEXTS)[1], num_texts=WIDTH + 4)
    np.testing.assert_allclose(found.explained_LHS[:, :, -1], 1, atol=1e-8)
    assert (found.index_LHS[:, :, WIDTH:] == -1).all()
    assert (found.share_LHS[:, :, WIDTH:] == 0).all()
    assert (found.direction_LHSE[:, :, WIDTH:] == 0).all()
    assert len(found.texts(1, 2)) == WIDTH
    codes_again = contributions(codes, found.replaced(maps)[0])
    rebuilt = codes_again + found.replaced(maps)[1][:, :, None].numpy()
    np.testing.assert_allclose(rebuilt, contributions(codes, maps), atol=1e-9)


def test_a_pool_of_few_dimensions_ends_when_its_texts_have_nothing_left():
    codes, maps = samples()
    text_TE = F.normalize(draw(40, 3, seed=4) @ draw(3, EMBEDDING, seed=6), dim=-1)
    for method in ("textspan", "somp"):
        found = found_of(codes, maps, text_TE, num_texts=8, method=method)
        assert (found.index_LHS[:, :, 2] >= 0).all()
        assert (found.index_LHS[:, :, 3:] == -1).all()
        assert (found.explained_LHS < 0.999).all()


def test_somp_explains_most_that_one_text_can():
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    ours, other = (
        found_of(codes, maps, text_TE, num_texts=1, method=method).share_LHS
        for method in ("somp", "textspan")
    )
    assert (ours >= other - 1e-12).all()
    assert (ours > other + 1e-3).any()


def test_the_order_of_images_and_a_rotation_of_images_and_texts_do_not_matter():
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    found = found_of(codes, maps, text_TE, num_texts=8)
    rotation = torch.linalg.qr(draw(EMBEDDING, EMBEDDING, seed=9))[0]
    turned = found_of(codes.flip(0), maps @ rotation, text_TE @ rotation, num_texts=8)
    assert torch.equal(turned.index_LHS, found.index_LHS)
    torch.testing.assert_close(turned.share_LHS, found.share_LHS)
    torch.testing.assert_close(turned.direction_LHSE, found.direction_LHSE @ rotation)


def test_a_constant_within_the_span_changes_the_mean_alone():
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    found = found_of(codes, maps, text_TE, num_texts=8)
    moved = found_of(codes + draw(LAYERS, HEADS, WIDTH, seed=8), maps, text_TE, num_texts=8)
    assert torch.equal(moved.index_LHS, found.index_LHS)
    torch.testing.assert_close(moved.share_LHS, found.share_LHS)
    assert (moved.mean_LHE - found.mean_LHE).norm(dim=-1).min() > 0.1


def test_of_texts_that_come_twice_the_first_is_chosen_and_once():
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    found = found_of(codes, maps, text_TE, num_texts=8)
    for doubled in (text_TE.repeat(2, 1), text_TE.repeat_interleave(2, 0)):
        again = found_of(codes, maps, doubled, num_texts=8)
        step = 1 if torch.equal(doubled[0], doubled[TEXTS]) else 2
        assert torch.equal(again.index_LHS, found.index_LHS * step)


def test_heads_are_taken_in_chunks_of_any_size(monkeypatch):
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    found = found_of(codes, maps, text_TE, num_texts=8)
    monkeypatch.setattr(span, "_CHUNK", 4 * WIDTH * TEXTS)
    again = found_of(codes, maps, text_TE, num_texts=8)
    assert torch.equal(again.index_LHS, found.index_LHS)
    torch.testing.assert_close(again.direction_LHSE, found.direction_LHSE)


def test_what_a_delta_changes_is_the_head_of_both_models():
    base, maps = samples()
    adapted = base + 0.3 * draw(*base.shape, seed=11) * torch.tensor([1.0, 0, 0]).repeat(3)
    adapted_maps = maps + 0.05 * draw(*maps.shape, seed=12)
    text_TE = texts_of(TEXTS)[1]
    both = torch.cat([adapted, -base], -1), torch.cat([adapted_maps, maps], -2)
    found = found_of(*both, text_TE, num_texts=10)
    data = contributions(adapted, adapted_maps) - contributions(base, maps)
    for place in np.ndindex(LAYERS, HEADS):
        taken, shares, _ = paper_loop(data[place], text_TE.numpy(), 10)
        assert found.index_LHS[place].tolist() == taken
        np.testing.assert_allclose(found.share_LHS[place], shares, atol=1e-11)


def test_a_code_wider_than_the_embedding_is_no_more_than_the_embedding():
    codes, maps = samples(width=12, embedding=8)
    text_TE = texts_of(60, width=8)[1]
    found = found_of(codes, maps, text_TE, num_texts=12)
    assert (found.rank_LH == 8).all()
    taken = paper_loop(contributions(codes, maps)[0, 1], text_TE.numpy(), 8)[0]
    assert found.index_LHS[0, 1].tolist() == [*taken, -1, -1, -1, -1]


def test_heads_without_variance_have_no_texts_and_no_nan():
    codes, maps = samples()
    codes[:, 0, 0] = codes[0, 0, 0]  # the same for all images
    codes[:, 0, 1] = 0
    maps[0, 2] = 0
    codes[:, 1, 0] = codes[:, 1, 0, :1]  # one direction
    found = found_of(codes.float(), maps, texts_of(TEXTS)[1], num_texts=4)
    assert (found.index_LHS[0] == -1).all()
    assert (found.variance_LH[0] == 0).all()
    assert found.rank_LH.tolist() == [[1, 0, 0], [1, WIDTH, WIDTH]]
    assert found.index_LHS[1, 0].tolist()[1:] == [-1, -1, -1]
    assert found.share_LHS[1, 0, 0] == pytest.approx(1)
    for name in ("share_LHS", "correlation_LHS", "direction_LHSE", "variance_LH"):
        assert getattr(found, name).isfinite().all(), name
    new_maps, offset = found.replaced(maps)
    torch.testing.assert_close(offset[0], found.mean_LHE[0])
    assert (new_maps[0] == 0).all()


def test_rounding_of_float32_is_no_direction():
    codes, maps = samples()
    maps[0, 0, 5:] = maps[0, 0, :4]  # a span of five directions
    found = found_of(codes.float(), maps.float(), texts_of(TEXTS)[1], num_texts=8)
    exact = found_of(codes, maps, texts_of(TEXTS)[1], num_texts=8)
    assert found.rank_LH[0, 0] == exact.rank_LH[0, 0] == 5
    assert torch.equal(found.index_LHS, exact.index_LHS)


def test_a_rank_beyond_what_heads_fill_changes_nothing_and_is_told(caplog):
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    with caplog.at_level(logging.WARNING):
        found = found_of(codes, maps, text_TE, num_texts=8, rank=80)
    assert caplog.messages == ["rank 80 was asked for, but no head fills more than 9 directions."]
    assert torch.equal(found.index_LHS, found_of(codes, maps, text_TE, num_texts=8).index_LHS)


def test_correlations_are_those_of_scores_over_images():
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    found = found_of(codes, maps, text_TE, num_texts=5)
    data = contributions(codes, maps)[1, 1]
    picked = found.texts(1, 1)
    assert picked[0].correlation == pytest.approx(1)
    for step, each in enumerate(picked):
        along = data @ found.direction_LHSE[1, 1, step].numpy()
        whole = data @ text_TE[found.index_LHS[1, 1, step]].numpy()
        assert each.correlation == pytest.approx(np.corrcoef(along, whole)[0, 1], abs=1e-9)
        assert each.text == f"text {found.index_LHS[1, 1, step]}"


def test_results_are_read_again_as_they_were_written(tmp_path):
    codes, maps = samples()
    codes[:, 0, 0] = 0
    found = found_of(codes, maps, texts_of(TEXTS)[1], num_texts=3)
    found.save(tmp_path / "heads.npz")
    again = TextSpan.load(tmp_path / "heads")
    for name in TextSpan.__dataclass_fields__:
        one, other = getattr(found, name), getattr(again, name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, name
    written = json.loads((tmp_path / "heads.json").read_text())
    assert written == found.to_json()
    assert written["identity"] == "clip"
    assert written["num_images"] == IMAGES
    assert [(each["layer"], each["head"]) for each in written["heads"]] == [
        *((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)),
    ]
    assert written["heads"][0]["texts"] == []
    last = written["heads"][5]
    assert [each["text"] for each in last["texts"]] == [each.text for each in found.texts(1, 2)]
    assert last["explained"] == pytest.approx(sum(each["share"] for each in last["texts"]))
    (tmp_path / "heads.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="is not a whole file of texts of heads"):
        TextSpan.load(tmp_path / "heads.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_texts": 0},
            "--num_texts is 0, expected at least 1 text a head.",
        ),
        ({"rank": 0}, "--rank is 0, expected at least 1, or none for all directions."),
        ({"method": "best"}, "--method is 'best', expected textspan or somp."),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(InputError) as error:
        found_of(*samples(), texts_of(TEXTS)[1], **change)
    assert str(error.value) == message


def test_fewer_images_than_the_rank_are_refused():
    codes, maps = samples()
    text_TE = texts_of(TEXTS)[1]
    for settings, needed in (({}, 9), ({"rank": 8}, 8), ({"rank": 80}, 9)):
        with pytest.raises(InputError) as error:
            found_of(codes[:7], maps, text_TE, **settings)
        assert str(error.value) == (
            f"expected at least {needed} images, as many as the rank, got moments of 7. Gather "
            "more images, or give a --rank of at most 7."
        )
    assert (found_of(codes[:7], maps, text_TE, rank=7, num_texts=3).index_LHS >= 0).all()
    empty = HeadMoments.empty("clip", LAYERS, HEADS, WIDTH)
    with pytest.raises(InputError, match="expected at least 9 images"):
        text_span(empty, maps, *texts_of(TEXTS))


def test_texts_and_maps_of_another_model_are_refused():
    codes, maps = samples()
    pool, text_TE = texts_of(TEXTS)
    with pytest.raises(InputError) as error:
        text_span(moments_of(codes), maps, pool, text_TE[:, :5])
    assert str(error.value) == (
        "expected embeddings of shape (200, 24) for the texts of pool.txt, got (200, 5). Encode "
        "this pool with the model that the maps are of."
    )
    with pytest.raises(InputError, match=r"of unit norm, got norms from 2 to 2\."):
        text_span(moments_of(codes), maps, pool, 2 * text_TE)
    with pytest.raises(InputError, match="of unit norm, got norms from nan"):
        text_span(moments_of(codes), maps, pool, torch.nan * text_TE)
    with pytest.raises(InputError) as error:
        text_span(moments_of(codes), maps[:1], pool, text_TE)
    assert str(error.value) == (
        "expected maps of shape (2, 3, 9) and the embedding width, as the moments are, got "
        "(1, 3, 9, 24). Take maps and codes from one decomposition."
    )
