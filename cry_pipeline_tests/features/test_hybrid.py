import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st

from cry_pipeline.catalog.networks import PLANES
from cry_pipeline.features.hybrid import RowStandardiser, hybrid, hybrid_images


@pytest.mark.parametrize("pool", [1, 4])
def test_image_is_pooled_frames_interpolated_along_frequency(make_rows, pool: int) -> None:
    rows = make_rows(a=12, b=7)
    image = hybrid_images(rows, bins=16, frame_pool=pool, indices=[0])[0][0]
    assert image.shape == (3, 16, 12 // pool)
    for plane, kind in zip(image, PLANES, strict=True):
        values = torch.from_numpy(rows.of(kind, 0).astype(np.float32)).T[None]  # [1, width, frames]
        pooled = functional.avg_pool1d(values, pool)
        expected = functional.interpolate(pooled.transpose(1, 2), 16, mode="linear", align_corners=True)[0].T
        torch.testing.assert_close(plane, expected, rtol=1e-5, atol=1e-3)


def test_first_and_last_rows_are_the_first_and_last_bin(make_rows) -> None:
    rows = make_rows(a=4)
    image = hybrid_images(rows, bins=11, frame_pool=1, indices=[0])[0][0]
    for plane, kind in zip(image, PLANES, strict=True):
        np.testing.assert_allclose(plane[[0, -1]].T, rows.of(kind, 0)[:, [0, -1]], rtol=1e-6)


def test_last_column_averages_the_frames_left(make_rows) -> None:
    rows = make_rows(a=10)
    image = hybrid_images(rows, bins=8, frame_pool=4, indices=[0])[0][0]
    assert image.shape[2] == 3
    np.testing.assert_allclose(image[1, :, 2], rows.of("mel", 0)[8:].astype(np.float32).mean(axis=0), rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(frames=st.lists(st.integers(1, 30), min_size=1, max_size=5), pool=st.integers(1, 5))
def test_padding_and_batch_mates_change_no_image(frames: list[int], pool: int) -> None:
    rng = np.random.default_rng(0)
    longest = max(frames)
    planes = [torch.from_numpy(rng.normal(size=(len(frames), longest, width))).float() for width in (9, 6, 4)]
    for row, count in enumerate(frames):
        for plane in planes:
            plane[row, count:] = torch.nan
    spectrogram, mel, mfcc = planes
    images, columns = hybrid(spectrogram, mel, mfcc, torch.tensor(frames), 8, pool)
    for row, count in enumerate(frames):
        spectrogram, mel, mfcc = (plane[row : row + 1, :count] for plane in planes)
        alone, own = hybrid(spectrogram, mel, mfcc, torch.tensor([count]), 8, pool)
        assert columns[row] == own[0] == alone.shape[3]
        torch.testing.assert_close(images[row, :, :, : own[0]], alone[0])
        assert (images[row, :, :, own[0] :] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_cohorts_images_are_each_recordings_own(make_rows, dtype: torch.dtype) -> None:
    frames = {f"recording{index}": 3 + index % 9 for index in range(70)}  # more than one batch
    rows = make_rows(**frames)
    images, lengths = hybrid_images(rows, 8, 2, dtype=dtype)
    assert images.dtype == dtype
    assert images.shape == (70, 3, 8, 6)
    for index in range(70):
        own = hybrid_images(rows, 8, 2, indices=[index])[0][0].to(dtype)
        assert lengths[index] == own.shape[2]
        torch.testing.assert_close(images[index, :, :, : lengths[index]], own)
        assert (images[index, :, :, lengths[index] :] == 0).all()
    some, some_lengths = hybrid_images(rows, 8, 2, [41, 3], dtype=dtype)
    assert some_lengths.tolist() == lengths[[41, 3]].tolist()
    torch.testing.assert_close(some, images[[41, 3], :, :, : some.shape[3]])


def test_standardiser_is_numpys_mean_and_sd_of_own_columns(make_rows) -> None:
    rows = make_rows(**{f"recording{index}": 2 + index for index in range(40)})
    images, lengths = hybrid_images(rows, 8, 2)
    images[torch.arange(images.shape[3]) >= lengths[:, None, None, None].expand(images.shape)] = 1e6
    own = np.concatenate([image[:, :, :n].numpy() for image, n in zip(images, lengths, strict=True)], axis=2)
    standardiser = RowStandardiser.fit(images, lengths)
    np.testing.assert_allclose(standardiser.mean, own.mean(axis=2, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(standardiser.sd, own.std(axis=2, dtype=np.float64), rtol=1e-6)
    applied = standardiser.apply(images, lengths)
    own = np.concatenate([image[:, :, :n].numpy() for image, n in zip(applied, lengths, strict=True)], axis=2)
    np.testing.assert_allclose(own.mean(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(own.std(axis=2), 1, atol=1e-5)
    for image, count in zip(applied, lengths, strict=True):
        assert (image[:, :, count:] == 0).all()


def test_small_variation_about_a_large_mean_is_not_lost() -> None:
    images = 1000 + 0.01 * torch.randn(50, 3, 4, 100, generator=torch.Generator().manual_seed(0))
    standardiser = RowStandardiser.fit(images, torch.full((50,), 100))
    np.testing.assert_allclose(standardiser.sd, images.numpy().std(axis=(0, 3), dtype=np.float64), rtol=1e-4)


def test_constant_row_is_centred_and_not_blown_up() -> None:
    images = torch.full((5, 3, 4, 7), -100.1, dtype=torch.float16)
    lengths = torch.full((5,), 7)
    applied = RowStandardiser.fit(images, lengths).apply(images, lengths)
    assert applied.abs().max() < 1e-4
