"""make install: where things go, that they run there, and that nothing of it stays after uninstall."""

import re
import shutil
import subprocess

import pytest

from lib.servers import ROOT

SERVICES = sorted(
    line.split()[0] for line in (ROOT / "deploy/fleet.list").read_text().splitlines() if line and not line.startswith("#")
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory, build):
    if build != (ROOT / "build/bin").resolve():
        pytest.skip("what is installed is the release build")
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "install", f"DESTDIR={root}", "PREFIX=/usr"], cwd=ROOT, check=True, capture_output=True)
    return root


def test_the_programs_are_there_and_run(installed):
    for name in [f"garrison-{service}" for service in SERVICES] + ["garrisonctl"]:
        subprocess.run([installed / "usr/bin" / name, "--version"], check=True, capture_output=True)


def test_there_is_a_unit_for_each_service(installed):
    units = installed / "usr/lib/systemd/system"
    assert {unit.name for unit in units.iterdir()} == {f"garrison-{s}@.service" for s in SERVICES} | {"garrison.target"}
    ports = set()
    for service in SERVICES:
        text = (units / f"garrison-{service}@.service").read_text()
        assert f"ExecStart=/usr/bin/garrison-{service}\n" in text and "@bindir@" not in text
        assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > 25  # SHUTDOWN_GRACE
        ports.add(re.search(r"ADMIN_ADDR=(\S+)", text)[1])
    assert len(ports) == len(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_systemd_takes_the_unit_and_finds_it_hardened(installed, service):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    name = f"garrison-{service}@1.service"
    template = installed / f"usr/lib/systemd/system/garrison-{service}@.service"
    instance = installed / name  # verify wants an instance
    shutil.copy(template, instance)
    instance.write_text(instance.read_text().replace("ExecStart=/usr/bin/", f"ExecStart={installed}/usr/bin/"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", instance], capture_output=True, text=True)
    assert done.returncode == 0 and "garrison" not in done.stderr, done.stderr
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", instance], capture_output=True, text=True
    )
    instance.unlink()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_secrets_can_be_made_from_what_is_installed(installed, tmp_path):
    done = subprocess.run(
        [installed / "usr/share/garrison/deploy/secrets.sh", tmp_path / "secrets"],
        env={"PATH": f"{installed}/usr/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for service in SERVICES:
        for credential in re.findall(r"LoadCredential=\S+:/etc/garrison/secrets/(\S+)",
                                     (installed / f"usr/lib/systemd/system/garrison-{service}@.service").read_text()):  # fmt: skip
            assert (tmp_path / "secrets" / credential).exists()


def test_uninstall_leaves_nothing(installed):
    subprocess.run(["make", "-s", "uninstall", f"DESTDIR={installed}", "PREFIX=/usr"], cwd=ROOT, check=True, capture_output=True)
    left = [str(file) for file in installed.rglob("*") if file.is_file()]
    assert left == []
