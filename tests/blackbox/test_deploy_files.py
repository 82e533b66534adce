"""What deployment is made of: generated from one list, and kept in step with it."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from lib.fleet import free_address
from lib.servers import ROOT

COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
FLEET = {
    line.split()[0]: dict(zip(("replicas", "most", "needs", "memory", "calls", "sends", "senders"), line.split()[1:]))
    for line in (ROOT / "deploy/fleet.list").read_text().splitlines()
    if line and not line.startswith("#")
}


def test_they_are_what_the_list_makes(tmp_path):
    subprocess.run([ROOT / "deploy/generate.sh", tmp_path], check=True)
    made = [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()]
    assert len(made) >= 5
    differing = [str(file) for file in made if (ROOT / file).read_bytes() != (tmp_path / file).read_bytes()]
    assert not differing, "run make deploy-files"


def test_the_list_names_every_service():
    folders = {main.parent.name for main in ROOT.glob("services/*/main.c")}
    assert set(FLEET) == folders - {"ctl"}


def test_the_list_says_what_the_binaries_need(build):
    """The stores of fleet.list are those that a service connects to: .needs of its descriptor."""
    for service, row in FLEET.items():
        main = (ROOT / "services" / service / "main.c").read_text()
        needs = {store.lower() for store in re.findall(r"NEEDS_(\w+)", main)}
        assert set(row["needs"].split(",")) == needs, service


# compose --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", FLEET)
def test_a_composed_service_is_confined(service):
    it = COMPOSE["services"][service]
    assert it["read_only"] is True and it["cap_drop"] == ["ALL"]
    assert it["security_opt"] == ["no-new-privileges:true"]
    assert it["user"] == "65532:65532"
    assert "limits" in it["deploy"]["resources"]
    assert it["build"]["target"] == service
    assert int(it["stop_grace_period"].rstrip("s")) > 25  # SHUTDOWN_GRACE
    assert "container_name" not in it  # or it could not be scaled
    assert not [name for name in it["environment"] if name.endswith(("URL", "TOKEN"))], "secrets come as files"


def test_composed_secrets_are_declared_and_made(tmp_path, build):
    subprocess.run(
        [ROOT / "deploy/secrets.sh", tmp_path],
        env={"PATH": "/usr/bin:/bin", "GARRISONCTL": str(build / "garrisonctl")},
        check=True,
        capture_output=True,
    )
    for name, secret in COMPOSE["secrets"].items():
        assert (tmp_path / secret["file"].removeprefix("./secrets/")).stat().st_size > 0, name
    assert tmp_path.stat().st_mode & 0o77 == 0
    for name, service in COMPOSE["services"].items():
        used = [s if isinstance(s, str) else s["source"] for s in service.get("secrets", ())]
        assert set(used) <= set(COMPOSE["secrets"]), name
        for variable, path in (service.get("environment") or {}).items():
            if variable.endswith("_FILE"):
                assert path.removeprefix("/run/secrets/") in used, (name, variable)


def test_compose_itself_takes_the_file(tmp_path):
    """docker-compose 1 of Debian knows all but the name at the top."""
    compose = shutil.which("docker-compose")
    if not compose:
        pytest.skip("there is no docker-compose")
    shutil.copytree(ROOT / "deploy/access", tmp_path / "access")
    lines = [line for line in (ROOT / "deploy/compose.yaml").read_text().splitlines() if not line.startswith("name:")]
    (tmp_path / "compose.yaml").write_text("\n".join(lines))
    done = subprocess.run([compose, "-f", tmp_path / "compose.yaml", "config", "-q"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# images ---------------------------------------------------------------------------------------------------------------


def test_an_image_for_each_service_and_nothing_but_its_binary():
    targets = re.split(r"\nFROM ", (ROOT / "deploy/Dockerfile").read_text())[1:]
    final = {re.match(r"scratch AS (\S+)", target)[1]: target for target in targets if target.startswith("scratch")}
    assert set(final) == set(FLEET) | {"ctl"}
    for name, target in final.items():
        assert "USER 65532:65532" in target and "RUN" not in target, name
        assert (name == "ctl") == ("HEALTHCHECK" not in target), name
    for source in re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.M):
        assert (ROOT / source).exists(), source


def test_the_root_of_an_image_runs_the_binary_alone(tmp_path, build):
    """As in the image: chroot into what image-root.sh makes."""
    if build.parent.name != "build":
        pytest.skip("an image holds the release build")
    root = tmp_path / "root"
    subprocess.run([ROOT / "deploy/image-root.sh", build / "garrison-tick", root], check=True)
    files = [file for file in root.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 30 << 20
    assert not [file for file in files if file.name in ("sh", "bash", "busybox")]
    done = subprocess.run(["chroot", root, "/usr/bin/garrison-tick", "--version"], capture_output=True, text=True)
    if done.returncode == 125:
        pytest.skip(f"chroot needs root: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


@pytest.mark.services("tick")
def test_healthcheck_asks_the_running_process(fleet):
    worker = fleet.start("tick")
    address = worker.settings["ADMIN_ADDR"]
    assert fleet.run("tick", "--healthcheck", admin_addr=address).returncode == 0
    port = address.rpartition(":")[2]
    assert fleet.run("tick", "--healthcheck", admin_addr=f"0.0.0.0:{port}").returncode == 0
    silent = fleet.run("tick", "--healthcheck", f"ADMIN_ADDR={free_address()}")
    assert silent.returncode == 1 and len(silent.stderr.splitlines()) == 1
    worker.pause()
    stuck = fleet.run("tick", "--healthcheck", admin_addr=address)
    worker.resume()
    assert stuck.returncode == 1 and "no answer in time" in stuck.stderr
    unset = fleet.run("tick", "--healthcheck")
    assert unset.returncode == 64 and "ADMIN_ADDR" in unset.stderr


# who may what in the broker -------------------------------------------------------------------------------------------


def test_users_of_the_broker_follow_the_list(stack, tmp_path):
    definitions = json.loads(stack.ctl("topology", "users").stdout)
    names = {user["name"] for user in definitions["users"]}
    assert names == {f"garrison-{name}" for name in (*FLEET, "bot", "engine", "operator")}
    assert {user["password_hash"] for user in definitions["users"]} == {""}
    may = {(p["user"], kind): re.compile(p[kind]) for p in definitions["permissions"] for kind in ("read", "write", "configure")}
    assert may["garrison-tick", "read"].search("game.tick.rpc") and not may["garrison-tick", "read"].search("game.arena")
    assert not may["garrison-tick", "configure"].search("game.tick")
    assert not may["garrison-tick", "write"].search("gameXdead")
    (tmp_path / "garrison-arena").write_text("one\n")
    missing = stack.ctl("topology", "users", "--passwords", str(tmp_path), check=False)
    assert missing.returncode == 1 and "garrison-auth" in missing.stderr
