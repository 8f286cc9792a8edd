"""The report of one or several runs: reading, figures, table, page."""

import base64
import io
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rlvr_jax import report
from rlvr_jax.report import (
  alarms,
  curves,
  html,
  law,
  lines,
  plots,
  runs,
  style,
  summary,
  timing,
)

fixed = settings(derandomize=True, max_examples=50, deadline=None)
STEPS = 40


def row(step, entropy=0.9, rate=0.02, **more):
  h = entropy * math.exp(-rate * step)
  point = {
    "step": step,
    "policy/entropy": h,
    "reward/mean": 0.7 - 0.2 * math.exp(h),
    "rollout/tokens_per_second": 1.0 if step == 0 else 5000.0,
    "rollout/length_mean": 300 + step,
    "rollout/truncated_fraction": 0.1,
    "time/rollout_seconds": 2.0,
    "time/update_seconds": 1.0,
    "time/step_seconds": 60.0 if step == 0 else 3.5,
    "loss/clipped_fraction": 0.01,
    "loss/kl": 1e-3,
    "update/gradient_norm": 0.1 + 0.01 * math.sin(step),
  }
  if step % 10 == 9:
    p = 0.3 + 0.004 * step
    point |= {"eval/pass@1": p, "eval/pass@16": p + 0.3, "eval/maj@16": p}
    point |= {"eval/pass@1_low": p - 0.02, "eval/pass@1_high": p + 0.02}
    point |= {"eval/distinct_right": 1.5, "eval/answer_entropy": 0.8}
    point |= {"time/evaluate_seconds": 4.0}
  return point | more


def save(folder, rows, tail="", **config):
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(json.dumps(config))
  text = "".join(json.dumps(r) + "\n" for r in rows)
  (folder / "metrics.jsonl").write_text(text + tail)
  return report.read(folder)


def run_of(label="a", config=None, **metrics):
  series = {
    key.replace("__", "/"): (np.arange(len(values)), np.array(values, float))
    for key, values in metrics.items()
  }
  return runs.Run(label, config or {}, series, label)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
  root = tmp_path_factory.mktemp("runs")
  aepo = {"aepo": {"target_entropy": 0.5}, "chain": ["grpo", "aepo"]}
  return [
    save(root / "s0", [row(s) for s in range(STEPS)], label="GRPO"),
    save(root / "s1", [row(s, 0.8) for s in range(STEPS)], label="GRPO"),
    save(
      root / "held",
      [row(s, 0.5, 0.0, **{"aepo/heat": 1 + s}) for s in range(STEPS)],
      label="<AEPO> & $5",
      **aepo,
    ),
  ]


@pytest.fixture(scope="module")
def page(three, tmp_path_factory):
  folder = tmp_path_factory.mktemp("report")
  path = report.write(three, folder / "new", "Three <runs>")
  return path, path.read_text()


def test_a_last_line_cut_by_a_kill_is_ignored(tmp_path):
  run = save(tmp_path / "r", [row(0), row(1)], tail='{"step": 2, "rew')
  np.testing.assert_array_equal(run.metrics["reward/mean"][0], [0, 1])


def test_a_broken_line_inside_the_file_costs_only_its_step(tmp_path):
  tail = '{"step": 1, "re{"step": 1}\n' + json.dumps(row(2)) + "\n"
  run = save(tmp_path / "r", [row(0)], tail=tail)
  np.testing.assert_array_equal(run.metrics["reward/mean"][0], [0, 2])


def test_a_step_repeated_by_a_resumed_run_counts_once_with_its_last_value(
  tmp_path,
):
  rows = [{"step": 0, "x": 1.0}, {"step": 1, "x": 2.0}, {"step": 1, "x": 3.0}]
  steps, values = save(tmp_path / "r", rows).metrics["x"]
  np.testing.assert_array_equal(steps, [0, 1])
  np.testing.assert_array_equal(values, [1, 3])


def test_a_metric_holds_only_the_steps_that_logged_it(three):
  steps, _ = three[0].metrics["eval/pass@1"]
  np.testing.assert_array_equal(steps, [9, 19, 29, 39])
  assert "step" not in three[0].metrics


def test_null_and_nan_are_not_finite_and_text_is_no_metric(tmp_path):
  rows = [{"step": 0, "x": None, "y": math.nan, "note": "hello"}]
  metrics = save(tmp_path / "r", rows).metrics
  assert set(metrics) == {"x", "y"}
  assert np.isnan([metrics["x"][1][0], metrics["y"][1][0]]).all()


def test_the_folder_names_a_run_without_a_label_or_a_config(tmp_path):
  assert save(tmp_path / "named", [row(0)]).label == "named"
  (tmp_path / "named" / "config.json").unlink()
  assert report.read(tmp_path / "named").label == "named"


def test_a_folder_that_is_no_run_is_refused_with_the_next_step(tmp_path):
  with pytest.raises(FileNotFoundError, match="holds no metrics.jsonl"):
    report.read(tmp_path)
  (tmp_path / "metrics.jsonl").write_text('{"step": 0')
  with pytest.raises(ValueError, match="wait for the first step"):
    report.read(tmp_path)
  (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n')
  (tmp_path / "config.json").write_text("[1")
  with pytest.raises(ValueError, match="config.json is not a JSON object"):
    report.read(tmp_path)


def test_the_target_entropy_counts_only_where_the_method_is_in_the_chain():
  method = {"target_entropy": 0.5}
  config = {"aepo": method, "chain": ["grpo", "aepo"]}
  assert runs.target_entropy(run_of(config=config)) == 0.5
  config = {"aepo": method, "chain": ["grpo"]}
  assert runs.target_entropy(run_of(config=config)) is None
  assert runs.target_entropy(run_of(config={"chain": ["aepo"]})) is None


@fixed
@given(st.integers(30, 300), st.floats(-2, 2), st.floats(-5, 5))
def test_smoothing_leaves_a_straight_line_alone(n, slope, start):
  line = start + slope * np.arange(n)
  np.testing.assert_allclose(curves.smooth(line), line, atol=1e-8)
  np.testing.assert_allclose(
    curves.smooth(line, spiky=True)[3:-3], line[3:-3], atol=0.2 * abs(slope)
  )


def test_smoothing_takes_out_noise_and_a_single_spike():
  noise = np.random.default_rng(0).normal(size=400)
  assert curves.smooth(noise).std() < 0.35
  noise[200] = 1e3
  assert np.abs(curves.smooth(noise, spiky=True)).max() < 2


def test_seeds_are_averaged_where_they_logged_and_spread_over_their_range():
  seeds = [run_of(x=[1.0, 2.0, 3.0]), run_of(x=[3.0, 4.0])]
  line = curves.curve(seeds, "x", noisy=True)
  np.testing.assert_array_equal(line.steps, [0, 1, 2])
  np.testing.assert_array_equal(line.mean, [2, 3, 3])
  np.testing.assert_array_equal(line.low, [1, 2, 3])
  np.testing.assert_array_equal(line.high, [3, 4, 3])
  assert curves.curve(seeds, "y", noisy=True) is None
  assert curves.curve([run_of(x=[np.nan])], "x", noisy=True) is None


def test_each_label_keeps_one_colour_and_seeds_share_it(three):
  colours = style.colours(run.label for run in three)
  assert list(colours) == ["GRPO", "<AEPO> & $5"]
  assert len(set(colours.values())) == 2


def test_the_entropy_figure_holds_two_lines_and_one_target(three):
  groups, colours = (
    runs.by_label(three),
    style.colours(["GRPO", three[2].label]),
  )
  with style.context():
    figure = lines.lines(
      groups, colours, "policy/entropy", "Entropy", targets=True
    )
  (axes,) = figure.axes
  strong = [line for line in axes.get_lines() if line.get_linewidth() == 2.0]
  assert [line.get_color() for line in strong] == list(colours.values())
  assert [text.get_text() for text in axes.texts] == ["", "target 0.5"]
  entries = [text.get_text() for text in figure.legends[0].get_texts()]
  assert entries == ["GRPO", r"<AEPO> & \$5"]


def test_a_spike_makes_the_axis_logarithmic_only_where_asked():
  norms = np.where(np.arange(60) == 30, 50.0, 0.1)
  groups, colours = {"a": [run_of(x=norms)]}, {"a": "#000000"}
  for spiky, scale in ((True, "log"), (False, "linear")):
    figure = lines.lines(groups, colours, "x", "X", spiky=spiky)
    assert figure.axes[0].get_yscale() == scale


def test_the_law_stands_in_the_legend_with_its_coefficients(three):
  colours = style.colours(run.label for run in three)
  figure = law.law(runs.by_label(three), colours)
  grpo, held = (t.get_text() for t in figure.legends[0].get_texts())
  assert "R = 0.700 - 0.200" in grpo and "rmse 0.000" in grpo
  # An entropy that never moves determines no law: points, but no line.
  assert "R =" not in held


def test_many_labels_make_a_taller_figure_and_not_a_flatter_plot():
  heights = []
  for count in (2, 20):
    groups = {f"label {i}": [run_of(x=[0.0, 1.0])] for i in range(count)}
    figure = lines.lines(groups, style.colours(groups), "x", "X")
    figure.draw_without_rendering()
    heights.append(figure.axes[0].get_window_extent().height)
  assert heights[1] > 0.9 * heights[0]


def test_the_time_split_leaves_out_compilation_and_adds_up_to_the_step(three):
  split = timing.phases(three[:2])
  # 4 evaluations of 4 s over 39 steps; 3.5 s a step holds it already.
  assert split["rollout"] == pytest.approx(2.0)
  assert split["update"] == pytest.approx(1.0)
  assert split["evaluate"] == pytest.approx(16 / 39)
  assert sum(split.values()) == pytest.approx(3.5)
  assert timing.phases([run_of(reward__mean=[1.0])]) == {}


def test_the_main_figures_are_all_there_and_in_order(page):
  path, text = page
  names = re.findall(r'<figure class="card">\s*<img [^>]*alt="([^"]+)"', text)
  assert names[:11] == [
    "Policy entropy",
    "Training reward",
    "Problems solved",
    "Distinct right answers",
    "Reward bought with entropy",
    "Answer entropy",
    "Response length",
    "Clipped tokens",
    "Movement per step",
    "Gradient norm",
    "Sampling speed",
  ]
  assert names[11] == "Time of a step"
  assert names[12:] == [
    "aepo/heat",
    "eval/maj@16",
    "rollout/truncated_fraction",
  ]


def test_every_figure_is_embedded_decodes_and_lies_beside_the_page(page):
  path, text = page
  sources = re.findall(r'<img src="([^"]*)"', text)
  start = "data:image/png;base64,"
  assert sources and all(source.startswith(start) for source in sources)
  embedded = {base64.b64decode(source[len(start) :]) for source in sources}
  beside = {p.read_bytes() for p in (path.parent / "figures").glob("*.png")}
  assert embedded == beside and len(embedded) == len(sources)
  for png in embedded:
    with Image.open(io.BytesIO(png)) as picture:
      picture.load()
      assert picture.format == "PNG" and min(picture.size) > 300


def test_the_page_asks_nothing_of_the_network(page):
  _, text = page
  for sign in ("://", "<link", "@import", "url(", 'src="/', "fetch("):
    assert sign not in text


def test_the_page_escapes_what_runs_bring_along(page):
  _, text = page
  assert "<AEPO>" not in text and "&lt;AEPO&gt; &amp; $5" in text
  assert "<title>Three &lt;runs&gt;</title>" in text


def test_the_page_holds_every_config_collapsed(page):
  _, text = page
  assert text.count("<details") == 3 and "<details open" not in text
  assert "target_entropy&#34;: 0.5" in text


def test_the_same_runs_give_the_same_page(three, page, tmp_path):
  again = report.write(three, tmp_path, "Three <runs>")
  assert again.read_text() == page[1]


def test_the_table_has_one_row_per_label_with_means_over_seeds(three):
  grpo, aepo = report.summary_rows(three)
  assert grpo["label"] == "GRPO" and grpo["seeds"] == 2
  assert grpo["steps"] == STEPS
  assert grpo["first_entropy"] == pytest.approx((0.9 + 0.8) / 2)
  last = math.exp(-0.02 * (STEPS - 1))
  assert grpo["final_entropy"] == pytest.approx(0.85 * last)
  assert grpo["target_entropy"] is None and aepo["target_entropy"] == 0.5
  assert aepo["entropy_last_third"] == pytest.approx(0.5)
  assert aepo["pass@1"] == pytest.approx(0.3 + 0.004 * 39)
  assert aepo["pass@1_low"] == pytest.approx(aepo["pass@1"] - 0.02)
  assert aepo["pass@16"] == pytest.approx(aepo["pass@1"] + 0.3)
  assert aepo["maj@16"] == aepo["pass@1"] and aepo["distinct_right"] == 1.5
  assert aepo["tokens_per_second"] == 5000 and aepo["seconds_per_step"] == 3.5


def test_the_table_as_text_shows_intervals_and_drops_empty_columns(three):
  grpo, aepo = report.summary_text(report.summary_rows(three))
  assert aepo["pass@1"] == "0.456 [0.436, 0.476]"
  assert grpo["target entropy (nats)"] == summary.NOTHING
  assert not any("low" in heading for heading in grpo)
  bare = report.summary_text(report.summary_rows([run_of(reward__mean=[0.5])]))
  assert bare == [{"run": "a", "steps": "1", "reward": "0.500"}]


def test_runs_with_few_or_no_metrics_still_make_a_page(tmp_path):
  bare = run_of("bare")
  one = run_of("_one", policy__entropy=[0.5], reward__mean=[0.1])
  gone = run_of("gone", policy__entropy=[np.nan] * 3, loss__kl=[np.inf] * 3)
  text = report.write([bare, one, gone], tmp_path, "Bare").read_text()
  assert text.count("<img") == 3  # entropy, reward, law of the one run
  assert plots.figures([bare]) == [] and plots.method_figures([bare]) == []
  with pytest.raises(ValueError, match="`runs` is empty"):
    html.write([], tmp_path, "None")


def test_rewards_nobody_knows_are_no_alarm():
  without = run_of(config={"task": {"labelled": False}}, reward__mean=[np.nan])
  assert alarms.alarms([without]) == []
  assert "reward/mean is not finite" in found(run_of(reward__mean=[np.nan]))


def found(run):
  return " ".join(alarm.text for alarm in alarms.alarms([run]))


def test_a_healthy_run_raises_no_alarm(three, page):
  assert alarms.alarms(three) == []
  assert "No alarm" in page[1]


@pytest.mark.parametrize(
  "run, text",
  [
    (run_of(policy__entropy=[0.9, 0.01]), "below 0.02"),
    (run_of(policy__entropy=[0.5, 2.8]), "entropy rose by 2.3 nats"),
    (run_of(update__gradient_norm=[1, np.nan]), "first at step 1"),
    (run_of(rollout__truncated_fraction=[0.1, 0.6]), "reach the length limit"),
    (run_of(reward__zero_std_fraction=[0.9, 0.9]), "teach nothing"),
    (run_of(guard__skipped_fraction=[0.0, 0.5]), "updates were refused"),
    (run_of(mismatch__k3=[0.0, 0.1]), "between sampler and trainer"),
    (
      run_of(
        config={"chain": ["dcpo"], "dcpo": {"target_entropy": 0.5}},
        policy__entropy=[0.4] * 3,
      ),
      "80% of its target 0.5",
    ),
    (
      run_of(**{"reward__mean": [0.2, 0.5], "eval__pass@1": [0.3, 0.3]}),
      "reward rose by 0.30 while pass@1 moved by +0.000",
    ),
  ],
)
def test_each_sign_of_trouble_raises_its_alarm(run, text):
  assert text in found(run)


def test_alarms_are_shown_on_the_page(tmp_path):
  run = run_of(policy__entropy=[0.9, 0.01])
  assert "the policy has" in report.write([run], tmp_path, "Bad").read_text()


@pytest.mark.long
def test_more_labels_than_colours_get_panels_of_their_own(tmp_path):
  many_runs = [
    save(
      tmp_path / f"r{i}",
      [row(s, rate=0.01 * i) | {f"m{i}/x": s} for s in range(STEPS)],
      label=f"m{i}",
    )
    for i in range(plots.CROWD + 2)
  ]
  names = {plot.name for plot in plots.figures(many_runs)}
  assert {"policy-entropy", "outcomes", "eval-pass-at-1"} <= names
  assert "law" not in names
  small = {plot.name for plot in plots.method_figures(many_runs)}
  # What all share has no legend that could be read; what one has does.
  assert {f"m{i}-x" for i in range(len(many_runs))} <= small
  assert "eval-answer_entropy" not in small
  page = report.write(many_runs, tmp_path, "t").read_text()
  assert page.count('<button type="button">') > 5
  lines = (tmp_path / "summary.md").read_text().splitlines()
  assert len(lines) == len(many_runs) + 2


def test_the_table_tells_what_a_method_asks_for_beyond_the_policy(tmp_path):
  cost = {"cost/extra_passes": 1.0, "cost/extra_rows": 32.0}
  rows = [row(0) | cost, row(1)]
  (found,) = summary.summary_rows([save(tmp_path / "r", rows, label="a")])
  assert found["extra_passes"] == 1.0 and found["extra_rows"] == 32.0
