from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from seqdis.errors import DataError
from seqdis.evaluation.report import Report
from seqdis.factors import Factors
from seqdis.report import run_page, series_figures
from seqdis.report.grids import reconstructions
from seqdis.report.series_figures import reconstruction_curves, reconstruction_pictures, season_map
from seqdis.sequences import DataSpec, FactorSpec, Sequences

Image = pytest.importorskip("PIL.Image")
SEASONS = ("spring", "summer", "autumn", "winter")


def weather(n=16, length=48):
    """Months with a season in the level, rain that only summers have, and unknown labels."""
    rng = np.random.default_rng(0)
    season = np.arange(n) % 4
    x = (season[:, None, None] * 5 + rng.normal(size=(n, length, 3))).astype(np.float32)
    rain = np.where(season[:, None] == 1, 0.5, 0.0) * np.ones((n, length))
    factors = (
        FactorSpec(name="season", kind="static", classes=SEASONS),
        FactorSpec(name="rain", kind="dynamic", unit="mm per hour"),
    )
    spec = DataSpec(kind="series", shape=(3,), length=length, missing=True, factors=factors)
    mask = np.ones(x.shape, dtype=bool)
    return Sequences(x=x, spec=spec, mask=mask, labels={"season": season, "rain": rain}, name="weather/test")


class Means:
    """Static code: the mean of a sequence; what it rebuilds is flat."""

    history_ = ()

    def encode(self, X):
        return Factors(torch.tensor(X.x.mean(1)), torch.zeros(len(X), X.x.shape[1], 1))

    def reconstruct(self, X):
        return np.broadcast_to(X.x.mean(1, keepdims=True), X.x.shape).copy()

    def swap(self, static_of, dynamic_of):
        return self.reconstruct(static_of)

    def sample(self, n, length=None, like=None, keep=None, seed=0):
        return self.reconstruct(like)


@pytest.fixture(scope="module")
def months():
    return weather()


@pytest.fixture
def drawn(monkeypatch):
    """Figures as Matplotlib objects, by name of the picture."""
    figures = {}
    real = series_figures.as_png

    def keep(figure, name, caption, **options):
        figures[name] = figure
        return real(figure, name, caption, **options)

    monkeypatch.setattr(series_figures, "as_png", keep)
    return figures


def opened(picture):
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    return image


# ---- season map


def test_colours_are_seasons_and_sizes_are_rain(months, drawn):
    picture = season_map(Means().encode(months), months.labels, months.spec)
    assert picture.name == "tsne_season"
    assert opened(picture).format == "PNG"
    known, unknown = drawn["tsne_season"].axes[0].collections[:2]
    sizes, colors = known.get_sizes(), known.get_facecolors()[:, :3]
    assert len(unknown.get_offsets()) == 0
    assert sizes.tolist() == [series_figures._LARGEST] * 4 + [series_figures._SMALLEST] * 12
    assert len(np.unique(colors[:4], axis=0)) == 1
    assert len(np.unique(colors[4:], axis=0)) == 3
    words = [text.get_text() for key in drawn["tsne_season"].legends for text in (key.get_title(), *key.get_texts())]
    assert words == ["", *SEASONS, "rain per day", "0", "6", "12"]  # 0.5 mm per hour are 12 mm a day


def test_unknown_rain_is_crossed_and_unknown_season_grey(months, drawn):
    labels = {name: values.copy() for name, values in months.labels.items()}
    labels["rain"][1] = np.nan
    labels["rain"][5, 3:] = np.nan  # the mean of what is known is the same
    labels["season"][2] = -1
    season_map(Means().encode(months), labels, months.spec)
    known, unknown = drawn["tsne_season"].axes[0].collections[:2]
    assert (len(known.get_offsets()), len(unknown.get_offsets())) == (15, 1)
    assert (known.get_sizes() == series_figures._LARGEST).sum() == 3
    assert (np.abs(known.get_facecolors()[:, :3] - 0.79).max(1) < 1e-6).sum() == 1


@pytest.mark.parametrize("rain", [0.0, np.nan])
def test_without_any_rain_there_is_no_key_of_sizes(months, drawn, rain):
    opened(season_map(Means().encode(months), months.labels | {"rain": np.full((16, 48), rain)}, months.spec))
    assert len(drawn["tsne_season"].legends) == 1


def test_any_class_can_colour_and_any_amount_can_size(months):
    spec = replace(
        months.spec,
        factors=(
            FactorSpec(name="kind", kind="static", classes=("x", "$y$")),
            FactorSpec(name="weight", kind="static"),
        ),
    )
    labels = {"kind": np.arange(16) % 2, "weight": np.arange(16.0)}
    picture = season_map(Means().encode(months), labels, spec, colour="kind", size="weight", steps_per_day=1)
    assert picture.name == "tsne_kind"


def test_equal_seeds_give_equal_maps(months):
    codes = Means().encode(months)
    first, again = (season_map(codes, months.labels, months.spec, seed=3) for _ in range(2))
    assert first.data == again.data


def test_season_map_says_what_it_lacks(months):
    codes = Means().encode(months)
    with pytest.raises(DataError, match="labels of 'rain' that are numbers; labels: season"):
        season_map(codes, {"season": months.labels["season"]}, months.spec)
    with pytest.raises(DataError, match="labels of 'rain' that are classes"):
        season_map(codes, months.labels, months.spec, colour="rain")
    with pytest.raises(DataError, match="unknown factor 'snow'"):
        season_map(codes, months.labels | {"snow": months.labels["rain"]}, months.spec, size="snow")
    with pytest.raises(DataError, match="4 sequences given; a t-SNE map needs at least 8"):
        season_map(codes[:4], {name: values[:4] for name, values in months.labels.items()}, months.spec)


# ---- reconstructions


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_points_are_observed_values_and_the_line_is_rebuilt(months, drawn):
    mask = months.mask.copy()
    mask[0, 10:20, 1] = False
    some = replace(months, mask=mask)[:2]
    rebuilt = Means().reconstruct(some)
    picture = reconstruction_curves(some, rebuilt)
    assert picture.name == "reconstructions"
    axes = np.array(drawn["reconstructions"].axes).reshape(3, 2)
    shown = lines(axes[1, 0])
    np.testing.assert_array_equal(np.isnan(shown["observed"].get_ydata()), ~mask[0, :, 1])
    np.testing.assert_allclose(shown["observed"].get_ydata()[:10], some.x[0, :10, 1])
    np.testing.assert_array_equal(shown["rebuilt"].get_ydata(), rebuilt[0, :, 1])
    assert shown["observed"].get_linestyle() == "None"


def test_one_day_can_be_drawn(months, drawn):
    picture = reconstruction_curves(months[:1], Means().reconstruct(months[:1]), steps=slice(24, 48))
    assert picture.name == "reconstructions_close"
    assert "Shown: 24 of 48 steps" in picture.caption
    shown = lines(drawn["reconstructions_close"].axes[0])["observed"]
    assert shown.get_xdata().tolist() == list(range(24, 48))
    np.testing.assert_allclose(shown.get_ydata(), months.x[0, 24:48, 0])


def test_padding_is_not_rebuilt(months, drawn):
    short = replace(months, lengths=np.full(16, 30))[:1]
    reconstruction_curves(short, Means().reconstruct(short))
    rebuilt = lines(drawn["reconstructions"].axes[0])["rebuilt"].get_ydata()
    assert np.isnan(rebuilt).tolist() == [False] * 30 + [True] * 18


def test_long_series_get_wide_panels_and_a_close_look_where_most_is_observed(drawn):
    months = weather(n=4, length=120)
    mask = months.mask.copy()
    mask[:, :72] = np.random.default_rng(1).random((4, 72, 3)) < 0.5
    mask[:, 96:] = False
    some = replace(months, mask=mask, x=np.where(mask, months.x, 0).astype(np.float32))
    whole, close = reconstruction_pictures(some, Means().reconstruct(some))
    assert [whole.name, close.name] == ["reconstructions", "reconstructions_close"]
    assert lines(drawn[close.name].axes[0])["rebuilt"].get_xdata().tolist() == list(range(72, 96))
    assert len(drawn[whole.name].axes) == 3 * 2
    assert len(drawn[close.name].axes) == 3 * 4
    assert [picture.name for picture in reconstructions(Means(), some)] == [whole.name, close.name]


def test_features_seen_most_often_are_drawn(months, drawn):
    mask = months.mask.copy()
    mask[..., 1] = False
    picture = reconstruction_curves(replace(months, mask=mask), Means().reconstruct(months), most_features=2)
    assert [ax.get_ylabel() for ax in drawn["reconstructions"].axes if ax.get_ylabel()] == ["feature 1", "feature 3"]
    assert "the 2 most often observed of 3 features" in picture.caption


def test_impossible_curves_are_refused(months):
    with pytest.raises(DataError, match=r"shape \(16, 40, 3\); expected .* \(16, 48, 3\)"):
        reconstruction_curves(months, Means().reconstruct(months)[:, :40])
    with pytest.raises(DataError, match="steps 60:80 hold none of 48 steps"):
        reconstruction_curves(months, Means().reconstruct(months), steps=slice(60, 80))


# ---- on the page


def test_the_page_maps_seasons_where_it_can(months):
    names = [picture.name for picture in run_page.pictures(Means(), months, None, Report(scores=()), seed=0)]
    assert names == ["swap_grid", "sample_static", "sample_dynamic", "tsne", "tsne_season", "reconstructions"]
    dry = replace(months, labels={"season": months.labels["season"]})
    assert "tsne_season" not in [p.name for p in run_page.pictures(Means(), dry, None, Report(scores=()), seed=0)]


@pytest.mark.parametrize(
    ("season", "rain"),
    [
        (FactorSpec(name="season", kind="static", classes=SEASONS), FactorSpec(name="rain", kind="dynamic")),
        (
            FactorSpec(name="season", kind="static", classes=SEASONS),
            FactorSpec(name="rain", kind="dynamic", classes=("dry", "wet")),
        ),
        (FactorSpec(name="season", kind="static"), FactorSpec(name="rain", kind="dynamic", unit="mm per hour")),
    ],
    ids=["rain in no unit", "rain in classes", "season as a number"],
)
def test_labels_that_are_only_called_season_and_rain_are_not_mapped_as_weather(months, season, rain):
    kinds = {factor.name: int if factor.classes else np.float64 for factor in (season, rain)}
    labels = {name: values.astype(kinds[name]) for name, values in months.labels.items()}
    theirs = replace(months, labels=labels, spec=replace(months.spec, factors=(season, rain)))
    names = [picture.name for picture in run_page.pictures(Means(), theirs, None, Report(scores=()), seed=0)]
    assert "tsne" in names
    assert "tsne_season" not in names
