"""What holds of every binary, whatever it does."""

import json
import subprocess

import pytest

from lib.servers import ROOT

FOLDERS = sorted(main.parent.name for main in ROOT.glob("services/*/main.c"))
BINARIES = ["garrisonctl" if folder == "ctl" else f"garrison-{folder}" for folder in FOLDERS]


@pytest.mark.parametrize("name", BINARIES)
def test_every_folder_is_a_hardened_binary(build, name):
    dynamic = subprocess.run(["readelf", "-Wdl", build / name], capture_output=True, text=True, check=True).stdout
    assert "Flags: NOW PIE" in dynamic
    assert "GNU_RELRO" in dynamic


@pytest.mark.parametrize("name", BINARIES)
def test_help_describe_and_version_need_no_server(build, name):
    for option in ("--help", "--version"):
        done = subprocess.run([build / name, option], env={}, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
        assert done.stderr == ""


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != "ctl"])
def test_an_unknown_option_is_named(build, folder):
    done = subprocess.run([build / f"garrison-{folder}", "--nope"], env={}, capture_output=True, text=True, timeout=20)
    assert done.returncode == 64
    assert "--nope" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder not in ("ctl", "gateway")])
def test_description_stands_in_the_catalogue(build, folder):
    done = subprocess.run(
        [build / f"garrison-{folder}", "--describe"], env={}, capture_output=True, text=True, check=True
    )
    description = json.loads(done.stdout)
    assert description["service"] == folder
    catalogue = json.loads((build.parent / "catalogue.json").read_text())
    assert description in catalogue
