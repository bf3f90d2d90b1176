"""Augmentation changes what it says and nothing else, and never what lies behind a recording's columns."""

import pytest
import torch

from cry_pipeline.catalog import AugmentationSpec
from cry_pipeline.catalog.networks import PLANES
from cry_pipeline.training.augmentation import Augmentation

EVERYTHING = {"roll": 1, "gain_db": 3, "noise": 0.3, "row_masks": 2, "column_masks": 2, "mixup": 0.4}


def augmentation(seed: int = 0, **parts: float) -> Augmentation:
    sd = torch.arange(1.0, 3 * 16 + 1).reshape(3, 16)
    return Augmentation(AugmentationSpec.model_validate(parts), PLANES, sd, seed)


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eight recordings of 20 to 34 columns, each pixel of its own; two classes."""
    lengths = torch.arange(20, 36, 2)
    own = torch.arange(40) < lengths[:, None]
    images = torch.randn(8, 3, 16, 40, generator=torch.Generator().manual_seed(9)) * own[:, None, None, :]
    return images, lengths, torch.eye(2)[torch.arange(8) % 2]


def test_nothing_asked_for_changes_nothing() -> None:
    for before, after in zip(batch(), augmentation()(*batch()), strict=True):
        torch.testing.assert_close(before, after)


def test_the_same_seed_gives_the_same_batches_whatever_else_draws_random_numbers() -> None:
    first, second, other = augmentation(1, **EVERYTHING), augmentation(1, **EVERYTHING), augmentation(2, **EVERYTHING)
    torch.manual_seed(0)
    expected = [first(*batch())[0] for _ in range(2)]
    torch.manual_seed(1)
    torch.rand(7)
    found = [second(*batch())[0] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert not torch.equal(expected[0], expected[1])
    assert not torch.equal(expected[0], other(*batch())[0])


@pytest.mark.parametrize("part", EVERYTHING)
def test_each_part_changes_images_and_leaves_padding_zero(part: str) -> None:
    images, lengths, _ = batch()
    after, after_lengths, _ = augmentation(**{part: EVERYTHING[part]})(*batch())
    assert not torch.equal(images, after)
    behind = torch.arange(40) >= after_lengths[:, None]
    assert (after * behind[:, None, None, :] == 0).all()
    if part != "mixup":
        assert torch.equal(after_lengths, lengths)


def test_a_roll_keeps_a_recordings_columns_and_their_circular_order() -> None:
    images, lengths, _ = batch()
    after = augmentation(roll=1)(*batch())[0]
    for before, rolled, length in zip(images, after, lengths.tolist(), strict=True):
        shifts = [s for s in range(length) if torch.equal(before[..., :length].roll(s, -1), rolled[..., :length])]
        assert len(shifts) == 1
    assert torch.equal(augmentation(roll=0)(*batch())[0], images)


def test_a_gain_is_one_level_in_db_on_spectrogram_and_mel() -> None:
    images, lengths, _ = batch()
    change = augmentation(gain_db=3)(*batch())[0] - images
    sd = torch.arange(1.0, 3 * 16 + 1).reshape(3, 16, 1)
    own = (torch.arange(40) < lengths[:, None])[:, None, None, :]
    gains = (change * sd)[:, 0, 0, 0]
    torch.testing.assert_close((change * sd)[:, :2], (gains[:, None, None, None] * own).expand(-1, 2, 16, -1))
    assert (change[:, 2] == 0).all()
    assert len(gains.unique()) == 8


def test_masks_are_bands_no_wider_than_asked_within_a_third_of_the_columns() -> None:
    images, lengths, targets = batch()
    ones = torch.ones_like(images) * (torch.arange(40) < lengths[:, None])[:, None, None, :]
    rows = augmentation(row_masks=1, row_mask_width=5)(ones, lengths, targets)[0][:, :, :, 0] == 0
    assert 0 < rows.sum(dim=2).max() <= 5
    assert any(not torch.equal(one[0], one[1]) for one in rows)
    masked = augmentation(column_masks=1, column_mask_width=30)(ones, lengths, targets)[0] == 0
    columns = (masked & (ones == 1))[:, :, 0, :]
    assert (columns.sum(dim=2) <= lengths[:, None] / 3).all()
    assert columns.any()
    assert torch.equal(columns[:, 0], columns[:, 1])
    for one in columns[:, 0]:
        where = one.nonzero().flatten()
        assert len(where) == 0 or where[-1] - where[0] == len(where) - 1


def test_a_mixture_has_the_targets_in_the_shares_of_the_images() -> None:
    lengths = torch.full((6,), 40)
    images = torch.arange(6.0)[:, None, None, None].expand(6, 3, 16, 40)
    mixed, after, targets = augmentation(mixup=0.5)(images, lengths, torch.eye(6))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    torch.testing.assert_close(mixed[:, 0, 0, 0], targets @ torch.arange(6.0))
    assert (targets.diagonal() >= 0.5).all()
    assert torch.equal(after, lengths)
