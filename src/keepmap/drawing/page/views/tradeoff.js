// What a smaller cache costs: every row of every run; the front is what no other row beats.

view({
	name: "tradeoff", title: "Trade-off", order: 5, has: (run) => run.rows.length > 0,
	async open(place, run) {
		const points = page.runs.flatMap((from, number) => from.rows.filter((row) => !row.method_key.startsWith("baseline")).map((row) => ({ ...row, run: from.name, number, model: from.model })));
		const keys = [...new Set(points.map((point) => point.method))], runs = [...new Set(points.map((point) => point.number))], picture = svgPlace("tradeoff"), several = el("div"), note = readoutLine();
		const measures = [["nll_delta", "ΔNLL (nats per token)"], ["kl", "KL (nats per token)"]], sizes = [["footprint", "footprint: entries held on average"], ["peak", "peak: most entries held at once"], ["density_overall", "kept at the end"]].filter(([name]) => points.every((point) => point[name] !== null));
		const titleOf = (known, name) => known.find(([own]) => own === name)[1];
		const cost = () => (state.cost === "kl" ? "kl" : "nll_delta"), size = () => (sizes.some(([name]) => name === state.size) ? state.size : "footprint");
		const front = () => {
			const [x, y] = [size(), cost()];
			return new Set(points.filter((point) => !points.some((other) => other.model === point.model && other[x] <= point[x] && other[y] <= point[y] && (other[x] < point[x] || other[y] < point[y]))));
		};
		const words = (point) => `${point.method}${runs.length > 1 ? ` in ${point.run}` : ""}: ${signed(point.nll_delta)} nats (${interval(point)}), KL ${number(point.kl)}, footprint ${percent(point.footprint)}`;
		const table = numbers(() => {
			const best = front();
			return { name: "tradeoff", caption: "Every row of every run", rows: points,
				columns: [col("method", "method", "words"), col("run", "run", "words"), col("footprint", "footprint", "share"),
					col("ΔNLL", "nll_delta", "signed"), col("low", "nll_delta_low", "signed"), col("high", "nll_delta_high", "signed"),
					col("KL", "kl", "number"), col("front", (point) => (best.has(point) ? "yes" : ""), "words")] };
		});
		place.append(heading("What each method costs against what it holds, over all texts. Lower and further left is better; rings mark the front, which no other row beats in both.",
			stateChoice("Cost", measures, "cost", cost()), stateChoice("Size", sizes, "size", size()),
			picture.button), curveKey(keys), picture.box, note, table, several);

		function draw() {
			if (!points.length) return picture.show("No method beside the full cache.");
			const width = chartWidth(picture.box, 1100), of = cost(), against = size();
			const held = points.map((point) => point[against]), ends = points.flatMap((point) => (of === "kl" ? [point.kl] : [point.nll_delta, point.nll_delta_low ?? point.nll_delta, point.nll_delta_high ?? point.nll_delta]));
			const low = min(...held), high = max(...held), bottom = min(0, ...ends), top = max(...ends, 1e-6);
			// Rows that hold the same stand side by side, a column for each method: a number would put them on one line.
			const alike = high <= 1.1 * low, spread = !alike && high / low > 4, pad = max(0.02, (high - low) * 0.15), each = width / keys.length / 10;
			const across = (point, at) => (alike ? at + (runs.indexOf(point.number) + 1) / (runs.length + 1) : point[against]);
			const drawn = chart(width, min(520, width * 0.6),
				alike ? { min: 0, max: keys.length, title: `${titleOf(sizes, against)}: about ${percent(high, 0)}, by all`, show: (at) => cut(keys[at - 0.5], each), at: keys.map((_, at) => at + 0.5) }
				: { min: spread ? low / 1.2 : max(0, low - pad), max: spread ? min(1, high * 1.2) : min(1, high + pad), title: titleOf(sizes, against) + ", of the full cache", show: (value) => percent(value, value < 0.1 ? 1 : 0), log: spread },
				{ min: bottom - (top - bottom) * 0.04, max: top + (top - bottom) * 0.06, title: titleOf(measures, of), show: String },
				`Cost against size of ${points.length} rows`);
			const { svg, toX, toY } = drawn, best = front();
			keys.forEach((name, at) => {
				const own = points.filter((point) => point.method === name).sort((a, b) => a[against] - b[against]);
				if (own.length > 1 && !alike) svg.append(lineOf(own.map((point) => [toX(point[against]), toY(point[of])]), at, 1.5));
				for (const point of own) {
					drawPoint(drawn, at, across(point, at), point[of], of === "kl" ? null : point.nll_delta_low, point.nll_delta_high, words(point), note, { ring: best.has(point) });
				}
			});
			picture.show(svg);
			note.textContent = alike && runs.length > 1 ? `Of each method, from left to right: ${runs.map((number) => page.runs[number].name).join(", ")}` : "";
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
