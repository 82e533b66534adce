"""The fuzz targets (tests/fuzz) in the sanitizers' build: each file of its corpus, and some seconds of inputs made from a seed."""

import subprocess

import pytest

from lib.servers import ROOT

SEED = 20261120
RUNS = {"fuzz_http": 20_000, "fuzz_tokens": 5_000}
TARGETS = sorted(path.stem for path in (ROOT / "tests/fuzz").glob("fuzz_*.c"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_seeded_run_and_the_corpus(target):
    program = ROOT / "build/asan/tests" / target
    assert program.exists(), "run make SAN=asan fuzz-replay"
    corpus = sorted((ROOT / "tests/fuzz/corpus" / target).iterdir())
    assert 0 < len(corpus) < 60
    runs = RUNS.get(target, 2_000)
    done = subprocess.run(
        [program, str(SEED), str(runs), *corpus], capture_output=True, text=True, errors="replace", timeout=120
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"{runs} inputs" in done.stdout
