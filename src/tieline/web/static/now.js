// The lines of the last hour. The numbers are in the tables below them too; without this the page shows those.
"use strict";

(() => {
  const drawn = new Map();
  const HEIGHT = 180;

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Lines differ by their dashes too, not by colour alone.
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

  const axis = () => ({ stroke: style("--soft"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } });

  function options(chart, width) {
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high || 0, 1) * 1.1] } },
      axes: [{ ...axis(), values: (_, at) => at.map(clock) }, { ...axis(), size: 52 }],
      series: [
        {},
        ...chart.lines.map((line, place) => ({
          label: line.name,
          stroke: style(`--line-${place % 4}`),
          dash: DASHES[place % 4],
          width: 2,
          spanGaps: false,
          points: { show: (plot, series) => alone(plot.data[series]) },
        })),
      ],
    };
  }

  const clock = (at) => new Date(at * 1000).toISOString().slice(11, 16);

  // A minute with a value between minutes without one would be no line at all.
  const alone = (values) => values.some((v, i) => v !== null && values[i - 1] == null && values[i + 1] == null);

  function show(hour) {
    for (const chart of hour.charts) {
      const place = document.querySelector(`[data-chart="${chart.name}"]`);
      if (!place) continue;
      drawn.get(chart.name)?.destroy();
      place.replaceChildren();
      const data = [hour.minutes, ...chart.lines.map((line) => line.values)];
      drawn.set(chart.name, new uPlot(options(chart, place.clientWidth), data, place));
    }
    latest = hour;
  }

  let latest = null;
  const again = () => latest && show(latest);

  async function load() {
    const answer = await fetch("/now/figures", { headers: { Accept: "application/json" } });
    if (answer.ok) show(await answer.json());
  }

  const live = document.getElementById("live");
  live.addEventListener("figures", (event) => show(JSON.parse(event.detail.data)));
  // The session is over, or the hub does not know us any more: the page itself says how to go on.
  live.addEventListener("ended", () => location.reload());
  const silent = document.getElementById("silent");
  document.addEventListener("htmx:sse:error", (event) => {
    if (event.detail.status === 401) location.reload();
    silent.hidden = false;
  });
  live.addEventListener("htmx:sse:after:message", () => (silent.hidden = true));

  const hasCharts = document.querySelector("[data-chart]");
  // The first thing that ever happens here: from now on there is an hour to draw.
  live.addEventListener("htmx:sse:after:message", () => !hasCharts && live.querySelector(".asof") && location.reload());

  if (hasCharts) {
    load();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    let width = innerWidth;
    addEventListener("resize", () => innerWidth !== width && ((width = innerWidth), again()));
    document.addEventListener("visibilitychange", () => document.hidden || load());
  }
})();
