"""``seqdis data``: fetching a miniature PhysioNet from a server on this machine, checking, locating."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from command_line import ONE_EPOCH, Refused, files, refused

from seqdis.datasets.physionet import TEN_FEATURES
from seqdis.evaluation.report import Report


def write_physionet(folder: Path) -> None:
    """Set c with 20 stays of 44 hours, under the publisher's names."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    outcomes = ["RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"]
    with tarfile.open(folder / "set-c.tar.gz", "w:gz") as archive:
        for record in range(100, 120):
            rows = ["Time,Parameter,Value", f"00:00,RecordID,{record}", "00:00,Age,54", "00:00,Gender,0"]
            rows += ["00:00,Height,-1", f"00:00,ICUType,{1 + record % 4}", "00:00,Weight,-1", "00:05,HR,80"]
            rows += [f"{h:02d}:30,{name},{rng.uniform(30, 40):.1f}" for h in range(44) for name in TEN_FEATURES]
            content = "\n".join(rows).encode()
            member = tarfile.TarInfo(f"set-c/{record}.txt")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            outcomes.append(f"{record},6,1,5,-1,{record // 2 % 2}")
    (folder / "Outcomes-c.txt").write_text("\n".join(outcomes) + "\n")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, seqdis) -> Iterator[Path]:
    """A folder that a server offers, and that SEQDIS_MIRROR names."""
    folder = tmp_path_factory.mktemp("mirror")
    write_physionet(folder / "physionet2012")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SEQDIS_MIRROR", f"http://127.0.0.1:{server.server_address[1]}/")
    yield folder / "physionet2012"
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetched_data_are_checked_fitted_and_evaluated(seqdis, mirror: Path, tmp_path: Path) -> None:
    home = tmp_path / "no data" / "physionet2012"
    names = [f"{home}/set-c.tar.gz", f"{home}/Outcomes-c.txt"]
    missing = seqdis("data check physionet --sets c")
    assert missing.status == 1
    assert missing.out.splitlines() == [f"physionet     missing   {name}" for name in names]
    fetched = seqdis("data fetch physionet --sets c")
    assert fetched == (0, "\n".join(names) + "\n", "")
    assert files(home) == files(mirror)
    mirror.joinpath("set-c.tar.gz").unlink()
    assert seqdis("data fetch physionet --sets c") == fetched
    checked = seqdis("data check physionet --sets c")
    assert checked.status == 0
    assert checked.out == missing.out.replace("missing", "present")
    fit = ("fit", "dbse", "physionet", "--data.sets", "c", *ONE_EPOCH, "--out", "icu")
    assert seqdis(*fit).err == "DBSE on physionet: 12 sequences, 80 steps of (10,)\n"
    few = "--mortality.repeats 1 --mortality.epochs 1 --mortality.resamples 2"
    assert seqdis(f"evaluate icu mortality {few}").status == 0
    assert Report.load(tmp_path / "icu/report.json").find(protocol="mortality", role="control")


def test_what_the_server_lacks_is_named_and_nothing_half_is_left(seqdis, mirror: Path, tmp_path: Path) -> None:
    (mirror / "Outcomes-c.txt").unlink()
    done = seqdis("data fetch physionet --sets c")
    assert (done.status, done.out) == (1, "")
    assert "/physionet2012/Outcomes-c.txt: the server answered 404" in done.err
    assert list(files(tmp_path)) == ["no data/physionet2012/set-c.tar.gz"]


def test_altered_files_are_found(seqdis, tmp_path: Path) -> None:
    folder = tmp_path / "no data" / "physionet2012"
    folder.mkdir(parents=True)
    (folder / "Outcomes-a.txt").write_text("altered")
    (folder / "set-a.tar.gz").write_text("no checksum known")
    done = seqdis("data check")
    found = [tuple(line.split()[:2]) for line in done.out.splitlines()]
    assert [pair for pair in found if pair[1] != "missing"] == [("physionet", "present"), ("physionet", "altered")]
    assert {name for name, _ in found} == {"physionet"}  # nobody asked for the others
    assert done.status == 1
    assert done.err.startswith("seqdis: 1 file(s) missing or altered")


def test_what_is_missing_beside_files_that_are_here_is_a_failure(seqdis, tmp_path: Path) -> None:
    assert seqdis("data check") == (0, "", f"no file of any data set is in {tmp_path / 'no data'}: nothing to check\n")
    folder = tmp_path / "no data" / "physionet2012"
    folder.mkdir(parents=True)
    (folder / "set-a.tar.gz.partial").write_text("begun")
    done = seqdis("data check")
    assert done.status == 1
    assert [line.split()[:2] for line in done.out.splitlines()] == [["physionet", "partial"], ["physionet", "missing"]]


def test_every_data_set_is_listed_with_its_licence(seqdis) -> None:
    done = seqdis("data list")
    assert done.status == 0
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert lines["physionet"].split(maxsplit=2)[2].split("  ")[0] == "0/2 files here"
    assert lines["physionet"].endswith("ODC-By 1.0")
    assert "no download" in lines["toy-series"]
    assert seqdis("data list physionet").out == lines["physionet"] + "\n"


def test_where_files_are_sought(seqdis, tmp_path: Path) -> None:
    assert seqdis("data path").out == f"{tmp_path / 'no data'}\n"
    assert seqdis("data path physionet").out == f"{tmp_path / 'no data' / 'physionet2012'}\n"
    assert seqdis("data path physionet --root elsewhere").out == "elsewhere/physionet2012\n"


def test_a_set_without_files_says_so(seqdis) -> None:
    assert seqdis("data check toy-series") == (0, "", "toy-series: no files to download, nothing to check\n")


@pytest.mark.parametrize(
    "case",
    [
        Refused("data lst", 2, "unknown action of seqdis data 'lst'. Did you mean 'list'?"),
        Refused("data list phisionet", 2, "unknown data set 'phisionet'. Did you mean 'physionet'?"),
        Refused("data list --all", 2, "data list needs no settings"),
        Refused("data fetch", 2, "data fetch needs the name of a data set"),
        Refused("data fetch toy-series", 1, "toy-series: nothing to download"),
        Refused("data fetch phisionet", 2, "unknown data set 'phisionet'"),
        Refused("data fetch physionet --sets d", 2, "invalid choice 'd'"),
        Refused("data check physionet toy-series --sets a", 2, "--sets a belong to one data set"),
        Refused("data check --sets a", 2, "--sets a belong to one data set; name it"),
        Refused("data path --root /elsewhere", 2, "data path needs the name of a data set"),
    ],
    ids=lambda case: case.command,
)
def test_a_mistake_is_explained(seqdis, tmp_path: Path, case: Refused) -> None:
    refused(seqdis, tmp_path, case)


def test_a_server_that_is_not_there_is_one_line(seqdis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SEQDIS_MIRROR", "http://127.0.0.1:9")
    refused(seqdis, tmp_path, Refused("data fetch physionet", 1, "Check the connection and run again"))
