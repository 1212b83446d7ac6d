// What a smaller cache costs: every row of every run, with its interval; the front is what no other row beats.

view({
	name: "tradeoff", title: "Trade-off", order: 5, has: (run) => run.rows.length > 0,
	async open(place, run) {
		const points = [];
		for (const from of page.runs) {
			for (const row of from.rows) {
				if (!row.method_key.startsWith("baseline")) points.push({ ...row, run: from.name, model: from.model });
			}
		}
		const keys = [...new Set(points.map((point) => point.method))], box = el("div"), several = el("div"), note = readoutLine();
		let svg = null;
		const measures = [["nll_delta", "ΔNLL (nats per token)"], ["kl", "KL (nats per token)"]], sizes = [["footprint", "footprint: entries held on average"], ["peak", "peak: most entries held at once"], ["density_overall", "kept at the end"]];
		const cost = () => (state.cost === "kl" ? "kl" : "nll_delta"), size = () => (sizes.some(([name]) => name === state.size) ? state.size : "footprint");
		const front = () => new Set(points.filter((point) => !points.some((other) => other.model === point.model && other[size()] <= point[size()] && other[cost()] <= point[cost()] && (other[size()] < point[size()] || other[cost()] < point[cost()]))));
		const words = (point) => `${visible(point.method)}${page.runs.length > 1 ? ` in ${visible(point.run)}` : ""}: ${signed(point.nll_delta)} nats (${interval(point)}), KL ${number(point.kl)}, footprint ${percent(point.footprint)}`;
		const table = numbers("The numbers of this picture", () => {
			const best = front();
			return sortableTable({ name: stem(run, "tradeoff"), caption: "Every row of every run", rows: points,
				columns: [col("method", (point) => point.method, "words"), col("run", (point) => point.run, "words"), col("footprint", (point) => point.footprint, "share"),
					col("ΔNLL", (point) => point.nll_delta, "signed"), col("low", (point) => point.nll_delta_low, "signed"), col("high", (point) => point.nll_delta_high, "signed"),
					col("KL", (point) => point.kl, "number"), col("front", (point) => (best.has(point) ? "yes" : ""), "words")] });
		});
		place.append(heading("Trade-off", "What each method costs against what it holds, over all texts. Lower and further left is better; rings mark the front, which no other row beats in both.",
			stateChoice("Cost", measures, "cost", cost()), stateChoice("Size", sizes, "size", size()),
			svgButton(run, "tradeoff", () => svg)), curveKey(keys), box, note, table, several);

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
				{ min: bottom - (top - bottom) * 0.04, max: top + (top - bottom) * 0.06, title: measures.find(([name]) => name === of)[1], show: String },
				`Cost against size of ${points.length} rows; the numbers are in the table below.`);
			svg = drawn.svg;
			const { toX, toY } = drawn, best = front();
			keys.forEach((name, at) => {
				const { colour: paint, dashes } = curve(at), own = points.filter((point) => point.method === name).sort((a, b) => a[against] - b[against]);
				if (own.length > 1) svg.append(el("polyline", { points: own.map((point) => `${toX(point[against])},${toY(point[of])}`).join(" "), fill: "none", stroke: paint, "stroke-width": 1.5, "stroke-dasharray": dashes || null }));
				for (const point of own) {
					drawPoint(drawn, at, alike ? at + 0.5 : point[against], point[of], of === "nll_delta" ? point.nll_delta_low : null, point.nll_delta_high, words(point), note, { ring: best.has(point) });
				}
			});
			box.replaceChildren(svg);
		}
		function update() {
			draw();
			drawTexts();
			table.refresh();
		}
		// The same for each of the first texts, on one scale, so that one sees whether the order is that of every text.
		function drawTexts() {
			if (!run.texts) return;
			const { names, of: all, points: own } = run.texts, of = cost(), labels = new Map(run.rows.map((row) => [row.method_key, row.method])), held = own.map((point) => point.footprint), costs = own.map((point) => point[of]);
			const low = Math.min(...held), high = Math.max(...held), bottom = Math.min(0, ...costs), top = Math.max(...costs, 1e-6), pad = Math.max(0.01, (high - low) * 0.15);
			several.replaceChildren(el("h3", { class: "next" }, `Text by text${all > names.length ? `, the first ${names.length} of ${whole(all)}` : ""}: ${measures.find(([name]) => name === of)[1]}, against footprint`), el("div", { class: "multiples" }, names.map((name, text) => {
				const drawn = chart(300, 210, { min: Math.max(0, low - pad), max: Math.min(1, high + pad), title: visible(name), show: (value) => percent(value, high - low < 0.05 ? 1 : 0) }, { min: bottom - (top - bottom) * 0.05, max: top + (top - bottom) * 0.08, title: "", show: String }, `Cost of every method on ${name}`);
				for (const point of own) if (point.text === text) drawPoint(drawn, keys.indexOf(labels.get(point.method_key)), point.footprint, point[of], null, null, `${visible(labels.get(point.method_key))} on ${visible(name)}: ΔNLL ${signed(point.nll_delta)} nats, KL ${number(point.kl)}, footprint ${percent(point.footprint)}`, note);
				return drawn.svg;
			})));
		}
		draw();
		drawTexts();
		redrawn(place, draw);
		return update;
	},
});
