from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.errors import DataError, SeqdisError
from seqdis.evaluation.report import Report, Score
from seqdis.factors import Factors
from seqdis.report import curves, embedding, grids, series_figures
from seqdis.report.figures import loss_curves, reconstructions, sample_grid, score_bars, swap_grid, tsne
from seqdis.report.picture import Picture
from seqdis.report.sheet import Painter, Sheet, beside, strip
from seqdis.sequences import DataSpec, FactorSpec, Sequences

Image = pytest.importorskip("PIL.Image")


def opened(picture):
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    assert f"image/{image.format.lower()}" == picture.mime
    assert image.size == picture.size
    return image


def frame(image, number):
    image.seek(number)
    return np.asarray(image.convert("RGB"))


def test_swap_grid_of_video_moves_and_stands_still(squares, video, truth):
    moving, still = swap_grid(squares, video, [0, 1], [2, 3, 4], truth=truth)
    assert (moving.name, still.name) == ("swap_grid", "swap_grid")
    assert opened(moving).n_frames == 8
    assert opened(still).format == "PNG"


def test_cells_of_the_swap_grid_show_the_models_hybrids(squares, video):
    moving, _ = swap_grid(squares, video, [0, 1], [2, 3])
    hybrid = squares.swap(video[[1]], video[[2]])[0]
    expected = np.rint(hybrid * 255).transpose(0, 2, 3, 1).repeat(4, axis=1).repeat(4, axis=2)
    x, y = 24 + 64 + 10, 24 + 64 + 10 + 64 + 5
    image = opened(moving)
    for number in (0, 5):
        cell = frame(image, number)[y : y + 64, x : x + 64].astype(float)
        # 255 palette entries are shared by all frames: close, not equal.
        assert np.abs(cell - expected[number]).max() <= 12


def test_truth_stands_beside_the_model(squares, video, truth):
    dim = replace(squares, dim=0.5)
    moving, _ = swap_grid(dim, video, [0], [1], truth=truth)
    pixels = frame(opened(moving), 0)[98:162].max(-1)
    model, true = pixels[:, 98:162], pixels[:, 98 + 64 + 2 : 98 + 130]
    assert model.max() < true.max()


def test_paper_of_the_gif_is_white(squares, video):
    assert frame(opened(swap_grid(squares, video, [0], [1])[0]), 0)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("keep", ["static", "dynamic"])
def test_sample_grid_keeps_what_it_says(squares, video, keep):
    moving, still = sample_grid(squares, video[:3], keep, draws=2)
    assert moving.name == still.name == f"sample_{keep}"
    assert keep in moving.caption
    opened(moving)
    opened(still)


def test_sample_grid_refuses_other_codes(squares, video):
    with pytest.raises(DataError, match="'static' or 'dynamic'"):
        sample_grid(squares, video[:1], "both")
    with pytest.raises(DataError, match="draws = 0"):
        sample_grid(squares, video[:1], "static", draws=0)


def test_reconstructions_of_video(squares, video):
    (picture,) = reconstructions(squares, video[:2], frames=4)
    image = opened(picture)
    assert image.size == (2 * (58 + 4 * 64 + 3 * 2 + 12), 2 * (10 + 2 * 2 * 66 + 10 - 2 + 12))


def test_series_are_drawn_as_curves(levels, series):
    pictures = [
        *swap_grid(levels, series, [0, 1], [2, 3], truth=levels.swap),
        *sample_grid(levels, series[:2], "static", draws=2),
        *reconstructions(levels, series[:2]),
    ]
    assert [picture.mime for picture in pictures] == ["image/png"] * 3
    for picture in pictures:
        opened(picture)


def test_missing_and_padded_values_are_gaps(series):
    values = curves.with_gaps(series)
    assert np.isnan(values[:, 10:18, 1]).all()
    assert np.isnan(values[3, 30:]).all()
    assert np.array_equal(np.isnan(values), ~series.observed())


def test_only_some_of_many_pairs_and_features_are_drawn(levels, series):
    (picture,) = swap_grid(levels, series, range(4), range(4))
    assert picture.size[0] == 4 * 2.5 * 192
    assert grids._few([0, 1, 2], [3, 4, 5]) == [(0, 3), (1, 4), (2, 5), (0, 4)]
    assert sorted(grids._few([0, 1], [2, 3])) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    wide = Sequences(x=np.zeros((1, 3, 9), np.float32), spec=DataSpec(kind="series", shape=(9,), length=3))
    assert "5 most often observed of 9" in series_figures.reconstruction_curves(wide, wide.x).caption


def test_spectrograms_are_still_and_end_where_they_end(spectrograms):
    class Copy:
        def swap(self, static_of, dynamic_of):
            return dynamic_of.x

    (picture,) = swap_grid(Copy(), spectrograms, [0], [2])
    assert opened(picture).format == "PNG"
    painted = Painter.of(spectrograms)(spectrograms.x[2], np.arange(20) < 15)
    assert painted.shape == (1, 80, 120, 3)
    assert (painted[:, :, 15 * 6 :] == 238).all()
    assert not (painted[:, :, : 15 * 6] == 238).all(-1).any()


def test_painter_reads_bytes_and_fractions_alike(video):
    paint = Painter.of(video)
    assert np.array_equal(paint(video.x[0]), paint(video.x[0].astype(np.float32) / 255))


def test_painter_shows_bytes_by_how_they_are_stored():
    spec = DataSpec(kind="image", shape=(1, 2, 2), length=1, scale=(160.0,))
    stored = np.array([0, 40, 80, 160], dtype=np.uint8).reshape(1, 1, 2, 2)
    paint = Painter(spec, (1, 1))
    assert paint(stored)[0, ..., 0].ravel().tolist() == [0, 64, 128, 255]
    assert np.array_equal(paint(stored), paint(stored.astype(np.float32) / 160))
    assert paint(np.full_like(stored, 200)).max() == 255


def test_missing_frames_are_blank_in_sources_only(squares, video):
    holes = replace(video, mask=np.arange(8)[None] != np.full((len(video), 1), 3))
    moving, _ = swap_grid(squares, holes, [0], [1])
    pixels = frame(opened(moving), 3)
    source, hybrid = pixels[98:162, 24:88], pixels[98:162, 98:162]
    assert (np.abs(source.astype(int) - 238) < 8).all()
    assert hybrid.min() < 40


def test_painter_refuses_what_is_no_image():
    spec = DataSpec(kind="image", shape=(2, 4, 4), length=1)
    with pytest.raises(DataError, match="1, 3 or 4 channels"):
        Painter(spec, (1, 1))(np.zeros((1, 2, 4, 4)))


def test_a_fourth_channel_is_opacity_before_white():
    spec = DataSpec(kind="image", shape=(4, 1, 3), length=1, scale=(255.0,))
    x = np.full((1, 4, 1, 3), 100, dtype=np.uint8)
    x[0, 3, 0] = 0, 255, 51
    assert Painter(spec, (1, 1))(x)[0, 0, :, 0].tolist() == [255, 100, 224]


def test_padding_does_not_stretch_the_colours_of_spectrograms(spectrograms):
    quiet = replace(spectrograms, x=spectrograms.x - 50, lengths=np.full(len(spectrograms), 15))
    padded = replace(quiet, x=np.where(np.arange(20)[:, None] < 15, quiet.x, 0).astype(np.float32))
    paint = Painter.of(padded)
    assert paint.high < -40
    assert paint == Painter.of(replace(padded, x=np.where(padded.x == 0, np.float32(9), padded.x)))


def test_strips_and_pairs():
    tile = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    folded = strip(tile, 3)
    assert folded.shape == (1, 2, 3 * 3 + 2 * 2, 3)
    assert [int(folded[0, 0, x, 0]) for x in (0, 5, 10)] == [0, 4, 7]
    assert beside([tile, tile[:1]], axis=1).shape == (8, 6 - 2 + 2, 3, 3)


def test_tiles_lie_at_exact_pixels():
    sheet = Sheet()
    sheet.tile(10, 20, np.zeros((1, 5, 7, 3), np.uint8))
    for scale in (1, 2, 3):
        pixels = sheet.pixels(scale)
        assert pixels.shape == (1, 37 * scale, 29 * scale, 3)
        ys, xs = np.nonzero(pixels[0].max(-1) == 0)
        assert (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1) == tuple(scale * v for v in (20, 10, 25, 17))


def test_tsne_is_deterministic(squares, video):
    codes, labels = squares.encode(video[:12]), {"colour": video.labels["colour"][:12]}
    first, again = (tsne(codes, labels, video.spec) for _ in range(2))
    assert opened(first).format == "PNG"
    assert first.data == again.data
    mirrored = Factors(-codes.static.flip(1), codes.dynamic**2)
    assert tsne(mirrored, labels, video.spec).data != first.data


def test_tsne_shows_collapsed_and_one_dimensional_codes(video):
    generator = torch.Generator().manual_seed(0)
    codes = Factors(torch.zeros(24, 3), torch.randn(24, 4, 1, generator=generator))
    opened(tsne(codes, video.labels, video.spec))
    np.testing.assert_array_equal(embedding.positions(np.full((9, 3), 0.1), 30.0, 0), np.zeros((9, 2)))
    line = embedding.positions(np.linspace(0, 1, 9)[:, None] ** 2, 30.0, 0)
    assert np.isfinite(line).all()
    assert np.ptp(line[:, 0]) > 0


def test_tsne_explains_its_grey_points_if_it_has_any(squares, video):
    codes = squares.encode(video)
    assert "Grey" not in tsne(codes, video.labels, video.spec).caption
    colour = np.where(np.arange(len(video)) == 3, -1, video.labels["colour"])
    assert tsne(codes, video.labels | {"colour": colour}, video.spec).caption.endswith(" Grey: not known.")


def test_tsne_says_what_it_lacks(squares, video):
    codes = squares.encode(video)
    with pytest.raises(DataError, match="colour, size, motion; labels given: none"):
        tsne(codes, {}, video.spec)
    with pytest.raises(DataError, match="at least 8"):
        tsne(codes[:4], video.labels, video.spec)
    with pytest.raises(DataError, match="NaN"):
        tsne(Factors(codes.static * float("nan"), codes.dynamic), video.labels, video.spec)


def test_labels_per_step_become_one_per_sequence():
    classes = FactorSpec(name="c", kind="dynamic", classes=("x", "y"))
    number = FactorSpec(name="v", kind="dynamic")
    steps = np.array([[0, 1, 1], [-1, -1, -1], [-1, -1, 0]])
    np.testing.assert_array_equal(embedding.per_sequence(steps, classes), [1, np.nan, 0])
    np.testing.assert_array_equal(embedding.per_sequence(np.array([0, -1]), classes), [0, np.nan])
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(embedding.per_sequence(values, number), [2.0, np.nan])


def test_loss_curves_grow_with_the_terms(history):
    four = loss_curves(history)
    few = loss_curves([{"epoch": 1, "seconds": 1.0, "train": {"total": 3.0}}])
    assert opened(few).size[0] < opened(four).size[0]
    with pytest.raises(DataError, match="no history"):
        loss_curves([])


def test_score_bars_draw_all_tables(report):
    assert opened(score_bars(report)).format == "PNG"
    with pytest.raises(DataError, match="no scores"):
        score_bars(Report(scores=()))


def test_names_with_dollars_are_no_formulas():
    shared = {"dataset": "d", "protocol": r"$\frac", "metric": r"$\bad{$", "factor": "$x$"}
    opened(score_bars(Report(scores=(Score(method=r"$\nope", value=1.0, **shared),))))


def test_drawing_leaves_matplotlib_as_it_was(report):
    import matplotlib
    from matplotlib._pylab_helpers import Gcf

    before, open_figures = dict(matplotlib.rcParams), list(Gcf.figs)
    score_bars(report)
    assert dict(matplotlib.rcParams) == before
    assert list(Gcf.figs) == open_figures


def test_missing_matplotlib_is_named(monkeypatch, history):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SeqdisError, match=r"pip install 'seqdis\[plot\]'"):
        loss_curves(history)


def test_pictures_save_under_their_name(tmp_path, squares, video):
    paths = [picture.save(tmp_path / "new") for picture in swap_grid(squares, video, [0], [1])]
    assert [path.name for path in paths] == ["swap_grid.gif", "swap_grid.png"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["swap_grid.gif", "swap_grid.png"]
    assert isinstance(Picture("a", "b", paths[1].read_bytes()).size[0], int)
