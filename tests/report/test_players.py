import io
import wave
from dataclasses import replace

import numpy as np
import pytest

from seqdis.errors import DataError
from seqdis.evaluation.report import Report
from seqdis.report.page import write_page
from seqdis.report.players import exchanges, wav
from seqdis.report.run_page import write_run_page
from seqdis.sequences import DataSpec, FactorSpec, Sequences
from seqdis.spectrogram import Spectrogram, analyse

pytest.importorskip("matplotlib")
pytest.importorskip("librosa")
SETTINGS = Spectrogram(rate=8000, n_fft=256, window=256, hop=64)
FRAMES = 40
SPEC = DataSpec(
    kind="spectrogram",
    shape=(SETTINGS.bins,),
    length=FRAMES,
    factors=(
        FactorSpec(name="voice", kind="static", classes=("loud", "soft")),
        FactorSpec(name="tone", kind="dynamic", classes=("low", "high")),
    ),
)
TONES = (500.0, 2000.0)


class LoudnessAndTone:
    """The static code is how loud a sequence is, the dynamic one which tone is heard."""

    history_ = ()

    def swap(self, static_of, dynamic_of):
        level = [x.max(axis=(1, 2), keepdims=True) for x in (static_of.x, dynamic_of.x)]
        return dynamic_of.x * level[0] / level[1]


def tones(lengths=None, ids=None):
    seconds = np.arange(FRAMES * 64) / 8000
    voice, tone = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0])
    frames = [
        analyse((0.8, 0.2)[v] * np.sin(2 * np.pi * TONES[t] * seconds), SETTINGS)[:FRAMES]
        for v, t in zip(voice, tone, strict=True)
    ]
    return Sequences(
        x=np.stack(frames),
        spec=SPEC,
        lengths=lengths,
        ids=ids,
        labels={"voice": voice, "tone": tone},
        name="tones/test",
    )


def heard(sound):
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32_767


def pitch(sound):
    wave_ = heard(sound)
    return np.fft.rfftfreq(len(wave_), 1 / 8000)[np.abs(np.fft.rfft(wave_)).argmax()]


def test_a_wav_file_is_read_again_as_loud_as_it_may_be():
    sound = 0.01 * np.sin(np.arange(800) / 10)
    found = heard(wav(sound, 8000))
    assert np.abs(found).max() == pytest.approx(0.9, abs=1e-3)
    assert np.allclose(found, sound * 0.9 / np.abs(sound).max(), atol=1e-4)
    assert (heard(wav(np.zeros(10), 8000)) == 0).all()
    assert len(heard(wav(np.zeros(0), 8000))) == 0


def test_swaps_sound_like_their_dynamic_source():
    part = tones()
    (first, second, forth, back), _ = exchanges(LoudnessAndTone(), part, SETTINGS, count=2)
    names = [player.label for player in (first, second)]
    assert forth.label == f"static of {names[0]}, dynamic of {names[1]}"
    assert back.label == f"static of {names[1]}, dynamic of {names[0]}"
    expected = [TONES[0] if name.endswith("low") else TONES[1] for name in names]
    assert [pitch(player.sound) for player in (first, second, forth, back)] == pytest.approx(
        [*expected, *expected[::-1]], abs=40
    )


def test_what_is_padding_is_not_heard_and_a_swap_is_as_long_as_its_dynamic_source():
    part = tones(lengths=np.array([10, 20, 30, 40]))
    for players in exchanges(LoudnessAndTone(), part, SETTINGS, count=2):
        frames = [round(len(heard(player.sound)) / 64) + 1 for player in players]
        assert frames[2:] == [frames[1], frames[0]]
        assert frames[0] != frames[1]


def test_segments_of_an_utterance_are_heard_in_one_piece():
    part = tones(ids=np.array(["a@0", "a@40", "a@80", "b@0"]))
    ((first, second, forth, back),) = exchanges(LoudnessAndTone(), part, SETTINGS, count=3)
    frames = [round(len(heard(player.sound)) / 64) + 1 for player in (first, second, forth, back)]
    assert sorted(frames[:2]) == [FRAMES, 3 * FRAMES]
    assert frames[2:] == frames[1::-1]


def test_the_same_seed_gives_the_same_sounds():
    part = tones()
    one, again, other = (exchanges(LoudnessAndTone(), part, SETTINGS, count=1, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other


def test_other_data_are_refused():
    with pytest.raises(DataError, match="only spectrograms of"):
        exchanges(LoudnessAndTone(), tones(), replace(SETTINGS, n_fft=512))
    series = replace(tones(), spec=replace(SPEC, kind="series"))
    with pytest.raises(DataError, match="holds series"):
        exchanges(LoudnessAndTone(), series, SETTINGS)


def test_the_page_holds_its_sounds_and_lets_the_browser_play_them(tmp_path):
    players = exchanges(LoudnessAndTone(), tones(), SETTINGS, count=1)
    html = write_page(tmp_path / "p.html", "t", Report(scores=()), players=players).read_text(encoding="utf-8")
    assert html.count('<audio controls preload="none" src="data:audio/wav;base64,') == 4
    assert "media-src data:" in html
    assert players[0][2].label in html
    assert "<audio" not in write_page(tmp_path / "q.html", "t", Report(scores=())).read_text(encoding="utf-8")


def test_the_page_of_a_run_on_sound_can_be_heard(tmp_path, monkeypatch):
    class Tones:
        name, spectrogram = "tones", SETTINGS

        def parts(self):
            return {"train": tones(), "test": tones()}

    monkeypatch.setattr("seqdis.report.run_page.pictures", lambda *given: [])
    path = write_run_page(
        tmp_path / "p.html", model=LoudnessAndTone(), data=Tones(), report=Report(scores=()), command="seqdis"
    )
    assert path.read_text(encoding="utf-8").count("<audio") == 8
