// What a smaller cache costs: every row of every run, with its interval; the front is what no other row beats.

view({
  name: "tradeoff", title: "Trade-off", order: 5, has: () => true,
  async open(place, run) {
    const points = [];
    for (const from of page.runs) {
      for (const row of from.rows) {
        if (!row.method_key.startsWith("baseline")) points.push({ ...row, run: from.name, model: from.model });
      }
    }
    const keys = [...new Set(points.map((point) => point.method))], box = el("div"), note = el("p", { class: "readout", "aria-live": "polite" });
    let svg = null;
    const measures = [["nll_delta", "ΔNLL (nats per token)"], ["kl", "KL (nats per token)"]], sizes = [["footprint", "footprint: entries held on average"], ["peak", "peak: most entries held at once"], ["density_overall", "kept at the end"]];
    const cost = () => (state.cost === "kl" ? "kl" : "nll_delta"), size = () => (sizes.some(([name]) => name === state.size) ? state.size : "footprint");
    const front = () => new Set(points.filter((point) => !points.some((other) => other.model === point.model && other[size()] <= point[size()] && other[cost()] <= point[cost()] && (other[size()] < point[size()] || other[cost()] < point[cost()]))));
    const words = (point) => `${visible(point.method)}${page.runs.length > 1 ? ` in ${visible(point.run)}` : ""}: ${signed(point.nll_delta)} nats (${interval(point)}), KL ${number(point.kl)}, footprint ${percent(point.footprint)}`;
    const table = numbers("The numbers of this picture", () => {
      const best = front();
      return sortableTable({ name: stem(run, "tradeoff"), caption: "Every row of every run", rows: points,
        columns: [{ title: "method", of: (point) => point.method, show: (value) => visible(value), words: true }, { title: "run", of: (point) => point.run, show: (value) => visible(value), words: true }, { title: "footprint", of: (point) => point.footprint, show: (value) => percent(value) },
          { title: "ΔNLL", of: (point) => point.nll_delta, show: (value) => signed(value) }, { title: "low", of: (point) => point.nll_delta_low, show: (value) => signed(value) }, { title: "high", of: (point) => point.nll_delta_high, show: (value) => signed(value) },
          { title: "KL", of: (point) => point.kl, show: (value) => number(value) }, { title: "front", of: (point) => (best.has(point) ? "yes" : ""), words: true }] });
    });
    place.append(heading("Trade-off", "What each method costs against what it holds, over all texts. Lower and further left is better; rings mark the front, which no other row beats in both.",
      choice("Cost", measures, cost(), (value) => setState({ cost: value })), choice("Size", sizes, size(), (value) => setState({ size: value })),
      button("Save as SVG", () => save(`${stem(run, "tradeoff")}.svg`, svgText(svg), "image/svg+xml"))), curveKey(keys), box, note, table);

    function draw() {
      if (!points.length) return box.replaceChildren("No method beside the full cache.");
      const width = Math.max(340, Math.min(1100, box.clientWidth || 900)), of = cost(), against = size();
      const held = points.map((point) => point[against] ?? point.footprint), ends = points.flatMap((point) => (of === "nll_delta" ? [point.nll_delta, point.nll_delta_low ?? point.nll_delta, point.nll_delta_high ?? point.nll_delta] : [point.kl]));
      const low = Math.min(...held), high = Math.max(...held), bottom = Math.min(0, ...ends), top = Math.max(...ends, 1e-6);
      // Rows that hold the same stand side by side, a column each: a number would put them on one line.
      const alike = page.runs.length === 1 && high <= 1.1 * low, spread = !alike && high / low > 4, pad = Math.max(0.02, (high - low) * 0.15);
      const drawn = chart(width, Math.min(520, width * 0.6),
        alike ? { min: 0, max: keys.length, title: `${sizes.find(([name]) => name === against)[1]}: ${percent(low)} of the full cache, by all`, show: (at) => (Number.isInteger(at - 0.5) ? shortened(visible(keys[at - 0.5]), 20) : ""), at: keys.map((_, at) => at + 0.5) }
        : { min: spread ? low / 1.2 : Math.max(0, low - pad), max: spread ? Math.min(1, high * 1.2) : Math.min(1, high + pad), title: sizes.find(([name]) => name === against)[1] + ", of the full cache", show: (value) => percent(value, value < 0.1 ? 1 : 0), log: spread },
        { min: bottom - (top - bottom) * 0.04, max: top + (top - bottom) * 0.06, title: measures.find(([name]) => name === of)[1], show: (value) => String(value) },
        `Cost against size of ${points.length} rows; the numbers are in the table below.`);
      svg = drawn.svg;
      const { toX, toY } = drawn, best = front();
      keys.forEach((name, at) => {
        const { colour: paint, mark: kind, dashes } = curve(at), own = points.filter((point) => point.method === name).sort((a, b) => a[against] - b[against]);
        if (own.length > 1) svg.append(el("polyline", { points: own.map((point) => `${toX(point[against])},${toY(point[of])}`).join(" "), fill: "none", stroke: paint, "stroke-width": 1.5, "stroke-dasharray": dashes || null }));
        for (const point of own) {
          const px = toX(alike ? at + 0.5 : point[against]), py = toY(point[of]);
          const group = el("g", { class: "point", tabindex: "0", role: "img", "aria-label": words(point), onfocus: () => tell(point), onmouseenter: () => tell(point) });
          if (of === "nll_delta" && point.nll_delta_low !== null) group.append(el("line", { x1: px, x2: px, y1: toY(point.nll_delta_low), y2: toY(point.nll_delta_high), stroke: paint, "stroke-width": 1.5, opacity: 0.6 }));
          if (best.has(point)) group.append(el("circle", { cx: px, cy: py, r: 10, fill: "none", stroke: css(colour("text")), "stroke-width": 1.5 }));
          group.append(mark(kind, px, py, 5, { fill: paint, stroke: paint, "stroke-width": 1.5 }), el("title", {}, words(point)));
          svg.append(group);
        }
      });
      box.replaceChildren(svg);
    }
    const tell = (point) => { note.textContent = words(point); };
    function update() {
      draw();
      table.refresh();
    }
    draw();
    redrawn(place, draw);
    return update;
  },
});
