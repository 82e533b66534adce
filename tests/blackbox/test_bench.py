"""What the benches' runner makes of figures: tables, JSON in pieces, the check of growth, the plot; and one bench, run small."""

import importlib.util
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from lib import growth, machine
from lib.bench import bare_responder, make_figure, number
from lib.results import Results, goal_text, replace_section, rows_of, text_table
from lib.servers import ROOT

ONE_BUILD = "first"  # what the benches measure is the release

spec = importlib.util.spec_from_file_location("bench_run", ROOT / "tests/bench/run.py")
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


def part(*figures):
    return {"started_at": "2026-01-01 10:00 UTC", "load": 0.5, "seconds": 12.0, "runs": 3, "scale": 1.0, "figures": list(figures)}


def results_of(commit="abc", **parts):
    results = Results(commit, {"processor": "a fast one"})
    results.parts = {name: part(*figures) for name, figures in parts.items()}
    return results


def test_a_figure_is_the_median_of_its_runs_with_their_spread():
    figure = make_figure("joins", "a second", [13000, 11000, 12500])
    assert (figure["median"], figure["min"], figure["max"]) == (12500, 11000, 13000)
    assert figure["goal"] is None and figure["reached"] is None


def test_a_ratio_is_taken_within_each_run():
    figure = make_figure("fights", "a second", [90, 40, 300], {"pgbench": [30, 10, 100]}, ratio_at_least=3)
    assert figure["ceilings"][0]["ratio"] == 3 and figure["reached"] is True


def test_a_ratio_of_unequal_numbers_of_runs_is_that_of_the_medians():
    assert make_figure("x", "s", [10, 20, 30], {"y": [40]})["ceilings"][0]["ratio"] == 0.5


@pytest.mark.parametrize(
    "goal, values, reached",
    [
        ({"at_least": 10}, [10], True),
        ({"at_least": 10}, [9.9], False),
        ({"at_most": 5}, [5], True),
        ({"at_most": 5}, [5.1], False),
        ({"ratio_at_most": 1}, [50], True),
    ],
)
def test_a_goal_is_reached_or_not(goal, values, reached):
    assert make_figure("x", "ms", values, {"y": [100]}, **goal)["reached"] is reached


def test_numbers_have_the_digits_that_are_worth_reading():
    shown = [number(value) for value in (12345.6, 99.99, 99.94, 5.678, 0.0123, 0)]
    assert shown == ["12,346", "100", "99.9", "5.68", "0.012", "0"]


def test_a_goal_in_words():
    assert goal_text({"kind": "ratio_at_least", "limit": 0.6}) == "≥ 0.6 ×"
    assert goal_text({"kind": "at_most", "limit": 12000}) == "≤ 12,000"


def test_each_thing_beside_a_figure_has_a_row():
    figure = make_figure("starts", "a second", [6000, 6100], {"no HTTP": [8000, 8100], "no database": [9000, 9000]}, at_least=6000)
    first, second = rows_of(figure)
    assert first == ("starts", "6,050 a second (6,000 to 6,100)", "no HTTP: 8,050 (8,000 to 8,100)", "0.75", "≥ 6,000", "yes")
    assert second == ("", "", "no database: 9,000", "0.67", "", "")
    lines = [line.split() for line in text_table([figure]).splitlines()]
    assert lines[1][-3:] == ["≥", "6,000", "yes"] and lines[3] == ["no", "database", "9,000", "0.67"]


def test_a_bench_that_is_run_again_replaces_its_own_part(tmp_path):
    path = tmp_path / "bench.json"
    results_of(bench_a=[make_figure("a", "s", [1])], bench_b=[make_figure("b", "s", [1])]).write(path)
    again = results_of(bench_b=[make_figure("b", "s", [2])])
    assert again.keep_parts_of(path) is None
    again.write(path)
    assert [(f["work"], f["median"]) for f in Results.read(path).figures()] == [("a", 1), ("b", 2)]


def test_figures_of_two_commits_are_never_mixed(tmp_path):
    path = tmp_path / "bench.json"
    results_of("old", bench_a=[make_figure("a", "s", [1])]).write(path)
    new = results_of("new", bench_b=[make_figure("b", "s", [2])])
    assert new.keep_parts_of(path) == "old"
    assert list(new.parts) == ["bench_b"]


def grown(**costs):
    return results_of(**{name: [make_figure("a tick", "µs", values)] for name, values in costs.items()})


def test_what_grows_as_the_logarithm_is_no_breach():
    assert growth.breaches(grown(growth_1000=[30, 30], growth_1000000=[60, 60])) == []


def test_what_grows_faster_is_told():
    (breach,) = growth.breaches(grown(growth_1000=[30, 31], growth_1000000=[63, 70]))
    assert breach.startswith("a tick: 2.03 times the µs with 1 million of what it is with 1,000")


def test_noise_alone_is_no_breach():
    assert growth.breaches(grown(growth_100000=[30, 40], growth_1000000=[45, 80])) == []


def test_linear_growth_below_a_constant_is_told():
    cost = {f"growth_{n}": [30 + n * 20e-6] for n in (1000, 10_000, 100_000, 1_000_000)}
    assert len(growth.breaches(grown(**cost))) == 2  # from 10,000 and from 100,000 to a million


def test_the_table_of_growth_and_its_plot():
    results = grown(growth_1000=[30, 31], growth_10000=[32, 33], growth_1000000=[40, 44])
    assert "| a tick | µs | 30.5 (30.0 to 31.0) | 32.5 (32.0 to 33.0) | 42.0 (40.0 to 44.0) | 1.38 |" in growth.markdown(results)
    svg = ElementTree.fromstring(growth.svg(results))
    words = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a tick", "µs, by number of characters", "1,000", "10,000", "1 million", "32.5"} <= set(words)


def test_a_section_of_a_page_is_replaced():
    page = "top\n<!-- bench: begin -->old<!-- bench: end -->\nend\n"
    assert replace_section(page, "bench", "new") == "top\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nend\n"
    with pytest.raises(AssertionError):
        replace_section("no section", "bench", "new")


@pytest.mark.parametrize("kind", sorted(file.stem for file in runner.PUBLISHED.glob("*.json")))
def test_the_page_shows_what_the_published_figures_say(kind):
    results, page = Results.read(runner.PUBLISHED / f"{kind}.json"), runner.PAGE.read_text()
    assert runner.page_of(kind, results, page) == page
    if kind == "growth":
        assert runner.PLOT.read_text() == growth.svg(results)


def test_names_of_benches():
    assert runner.program_of("growth_1000")[1] == {"BENCH_POPULATION": "1000"}
    assert runner.program_of("bench_arena")[0].exists()
    assert runner.program_of("bench_nothing") is None and runner.program_of("run") is None


def test_waking_is_measured_on_one_core_and_between_two_where_there_are_two():
    cores = os.sched_getaffinity(0)
    assert len(machine.waking()) == min(len(cores), 2)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert list(machine.waking()) == ["a process woken on the same core and back"]
    finally:
        os.sched_setaffinity(0, cores)


def test_the_bare_responder_answers_each_request_while_its_block_lasts(stack, amqp):
    for _ in range(2):  # the first has left nothing that stands in the second's way
        with bare_responder(stack) as key:
            asked = [amqp.request(key, {"n": n}) for n in range(1000)]  # more than it may hold without an ack
            amqp.requests.wait(asked[-1], timeout=20)
        replies = {reply.properties.correlation_id: reply.result for reply in amqp.requests.replies}
        assert all(replies[request] == {} for request in asked)


def test_a_bare_responder_that_cannot_start_says_so(stack):
    with bare_responder(stack), pytest.raises(AssertionError, match="did not start"), bare_responder(stack):
        pass  # the queue is the first one's alone


def test_a_bench_leaves_its_figures(servers, tmp_path):
    path = tmp_path / "bench.json"
    settings = {"GARRISON_TEST_STACK": str(servers.folder), "BENCH_SCALE": "0.01", "BENCH_RUNS": "2"}
    words = [runner.FOLDERS["bench"] / "run.py", "--json", path, "bench_listener"]
    done = subprocess.run(words, env={**os.environ, **settings}, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    results = Results.read(path)
    figure = results.figures()[0]
    assert figure["median"] > 0 and len(figure["values"]) == 2 and figure["ceilings"][0]["median"] > 0
    assert figure["work"] in done.stdout and results.machine["PostgreSQL"]
    measured = re.compile(r"median ([\d.,]+) µs, 99th percentile ([\d.,]+) µs")
    for name in ("disk", "a process woken on the same core and back"):
        assert measured.search(results.machine[name]) and f"{name}: {results.machine[name]}" in done.stdout
