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
		const keys = [...new Set(points.map((point) => point.method))], picture = svgPlace(run, "tradeoff"), several = el("div"), note = readoutLine();
		const measures = [["nll_delta", "ΔNLL (nats per token)"], ["kl", "KL (nats per token)"]], sizes = [["footprint", "footprint: entries held on average"], ["peak", "peak: most entries held at once"], ["density_overall", "kept at the end"]];
		const titleOf = (known, name) => known.find(([own]) => own === name)[1];
		const cost = () => (state.cost === "kl" ? "kl" : "nll_delta"), size = () => (sizes.some(([name]) => name === state.size) ? state.size : "footprint");
		const front = () => {
			const [x, y] = [size(), cost()];
			return new Set(points.filter((point) => !points.some((other) => other.model === point.model && other[x] <= point[x] && other[y] <= point[y] && (other[x] < point[x] || other[y] < point[y]))));
		};
		const words = (point) => `${point.method}${page.runs.length > 1 ? ` in ${point.run}` : ""}: ${signed(point.nll_delta)} nats (${interval(point)}), KL ${number(point.kl)}, footprint ${percent(point.footprint)}`;
		const table = numbers(() => {
			const best = front();
			return sortableTable({ run, name: "tradeoff", caption: "Every row of every run", rows: points,
				columns: [col("method", "method", "words"), col("run", "run", "words"), col("footprint", "footprint", "share"),
					col("ΔNLL", "nll_delta", "signed"), col("low", "nll_delta_low", "signed"), col("high", "nll_delta_high", "signed"),
					col("KL", "kl", "number"), col("front", (point) => (best.has(point) ? "yes" : ""), "words")] });
		});
		place.append(heading("What each method costs against what it holds, over all texts. Lower and further left is better; rings mark the front, which no other row beats in both.",
			stateChoice("Cost", measures, "cost", cost()), stateChoice("Size", sizes, "size", size()),
			picture.button), curveKey(keys), picture.box, note, table, several);

		function draw() {
			if (!points.length) return picture.show("No method beside the full cache.");
			const width = chartWidth(picture.box, 1100), of = cost(), against = size();
			const held = points.map((point) => point[against] ?? point.footprint), ends = points.flatMap((point) => (of === "nll_delta" ? [point.nll_delta, point.nll_delta_low ?? point.nll_delta, point.nll_delta_high ?? point.nll_delta] : [point.kl]));
			const low = Math.min(...held), high = Math.max(...held), bottom = Math.min(0, ...ends), top = Math.max(...ends, 1e-6);
			// Rows that hold the same stand side by side, a column each: a number would put them on one line.
			const alike = page.runs.length === 1 && high <= 1.1 * low, spread = !alike && high / low > 4, pad = Math.max(0.02, (high - low) * 0.15);
			const drawn = chart(width, Math.min(520, width * 0.6),
				alike ? { min: 0, max: keys.length, title: `${titleOf(sizes, against)}: ${percent(low)} of the full cache, by all`, show: (at) => (Number.isInteger(at - 0.5) ? shortened(keys[at - 0.5], 20) : ""), at: keys.map((_, at) => at + 0.5) }
				: { min: spread ? low / 1.2 : Math.max(0, low - pad), max: spread ? Math.min(1, high * 1.2) : Math.min(1, high + pad), title: titleOf(sizes, against) + ", of the full cache", show: (value) => percent(value, value < 0.1 ? 1 : 0), log: spread },
				{ min: bottom - (top - bottom) * 0.04, max: top + (top - bottom) * 0.06, title: titleOf(measures, of), show: String },
				`Cost against size of ${points.length} rows`);
			const { svg, toX, toY } = drawn, best = front();
			keys.forEach((name, at) => {
				const own = points.filter((point) => point.method === name).sort((a, b) => a[against] - b[against]);
				if (own.length > 1) svg.append(lineOf(own.map((point) => [toX(point[against]), toY(point[of])]), at, 1.5));
				for (const point of own) {
					drawPoint(drawn, at, alike ? at + 0.5 : point[against], point[of], of === "nll_delta" ? point.nll_delta_low : null, point.nll_delta_high, words(point), note, { ring: best.has(point) });
				}
			});
			picture.show(svg);
		}
		function update() {
			draw();
			drawTexts();
			table.refresh();
		}
		// The same for each of the first texts, on one scale, so that one sees whether the order is that of every text.
		function drawTexts() {
			if (!run.texts) return;
			const { names, of: all, points: own } = run.texts, labels = new Map(run.rows.map((row) => [row.method_key, row.method])), label = (point) => labels.get(point.method_key);
			several.replaceChildren(next(`Text by text${all > names.length ? `, the first ${names.length} of ${whole(all)}` : ""}: ${titleOf(measures, cost())}, against footprint`),
				multiples(names, own.map((point) => ({ name: names[point.text], at: keys.indexOf(label(point)), x: point.footprint, y: point[cost()],
					words: `${label(point)} on ${names[point.text]}: ΔNLL ${signed(point.nll_delta)} nats, KL ${number(point.kl)}, footprint ${percent(point.footprint)}` })), "", String, note));
		}
		draw();
		drawTexts();
		redrawn(place, draw);
		return update;
	},
});
