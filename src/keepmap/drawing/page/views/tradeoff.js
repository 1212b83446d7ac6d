// What a smaller cache costs: every row of every run; the front is what no other row beats.

// Runs that differ in these alone are one group: their points are joined, and beat each other.
const OWN = ["densities", "thresholds", "methods", "left_out", "versions"];

view("tradeoff", "Trade-off", 5, (run) => run.rows.length > 0, async (place, run) => {
	const own = page.runs.filter((one) => one.rows.length), settings = own.map((one) => new Map(one.settings.filter(([name]) => !OWN.includes(name)))), alike = settings.map((one) => JSON.stringify([...one]));
	const groups = [...new Set(alike)], letters = groups.map((_, at) => (groups.length > 1 ? String.fromCharCode(65 + at) : "")), differing = [...new Set(settings.flatMap((one) => [...one.keys()]))].filter((name) => settings.some((one) => one.get(name) !== settings[0].get(name)));
	const points = own.flatMap((from, number) => from.rows.filter((row) => !row.method_key.startsWith("baseline")).map((row) => ({ ...row, run: from.name, number, model: from.model, group: letters[groups.indexOf(alike[number])] })));
	const keys = [...new Set(points.map((point) => point.method))], runs = [...new Set(points.map((point) => point.number))], picture = svgPlace("tradeoff"), several = el("div"), note = readoutLine();
	const measures = [["nll_delta", "ΔNLL (nats per token)"], ["kl", "KL (nats per token)"]], sizes = [["footprint", "footprint: entries held on average"], ["peak", "peak: most entries held at once"], ["density_overall", "kept at the end"]].filter(([name]) => points.every((point) => point[name] !== null));
	const titleOf = (known, name) => known.find(([own]) => own === name)[1];
	const cost = () => picked("cost", measures), size = () => picked("size", sizes);
	const front = () => {
		const [x, y] = [size(), cost()];
		return new Set(points.filter((point) => !points.some((other) => other.group === point.group && other[x] <= point[x] && other[y] <= point[y] && (other[x] < point[x] || other[y] < point[y]))));
	};
	const words = (point) => `${point.method}${runs.length > 1 ? ` in ${point.run}` : ""}${point.group && ` (${point.group}, ${point.model})`}: ${signed(point.nll_delta)} nats (${interval(point)}), KL ${number(point.kl)}, footprint ${percent(point.footprint)}`;
	const table = numbers(() => {
		const best = front();
		return ["tradeoff", "Every row of every run", points, [col("method", "method", "words"), col("run", "run", "words"), ...(groups.length > 1 ? [col("group", "group", "words"), col("model", "model", "words")] : []), col("footprint", "footprint", "share"),
				col("ΔNLL", "nll_delta", "signed"), col("low", "nll_delta_low", "signed"), col("high", "nll_delta_high", "signed"),
				col("KL", "kl", "number"), col("front", (point) => (best.has(point) ? "yes" : ""), "words")]];
	});
	place.append(heading("What each method costs against what it holds, over all texts. Lower and further left is better; no other row beats those in rings in both.",
		stateChoice("Cost", measures, "cost"), stateChoice("Size", sizes, "size"),
		picture.buttons), ...(groups.length > 1 ? [el("p.warnings", `These runs differ in ${differing.join(", ")}: compare points of one letter only. ${letters.map((letter, at) => `${letter}: ${own.filter((_, number) => alike[number] === groups[at]).map(({ name, model }) => `${name}, ${model}`).join("; ")}`).join(". ")}.`)] : []),
	curveKey(keys), picture.box, note, table, several);

	function draw() {
		if (!points.length) return picture.show("No method beside the full cache.");
		const width = chartWidth(picture.box, 1100), of = cost(), against = size(), placed = points.map((point) => ({ ...point, point, x: point[against], y: point[of], ...(of === "kl" ? {} : { low: point.nll_delta_low, high: point.nll_delta_high }) }));
		// Rows that hold the same have a column for each method.
		const { low, high, same, x, y } = axesOf(placed, placed), spread = !same && high / low > 4, each = width / keys.length / 10;
		const drawn = chart(width, min(520, width * 0.6),
			same ? { min: 0, max: keys.length, title: `${titleOf(sizes, against)}: about ${percent(high, 0)}, by all`, show: (at) => cut(keys[at - 0.5], each), at: keys.map((_, at) => at + 0.5) }
			: { ...(spread ? { min: low / 1.2, max: min(1, high * 1.2) } : x), title: titleOf(sizes, against) + ", of the full cache", show: "share", log: spread },
			{ ...y, title: titleOf(measures, of), show: String }, `Cost against size of ${points.length} rows`);
		const { svg } = drawn, best = front(), toX = ({ number, method, x }) => drawn.toX(same ? keys.indexOf(method) + (runs.indexOf(number) + 1) / (runs.length + 1) : x);
		// Intervals of rows that hold almost the same stand side by side.
		for (const one of placed) {
			const near = placed.filter((other) => abs(toX(other) - toX(one)) < 5);
			one.at = toX(one) + (same ? 0 : (near.indexOf(one) - (near.length - 1) / 2) * 8);
		}
		for (const letter of letters) keys.forEach((name, at) => {
			const own = placed.filter((point) => point.method === name && point.group === letter).sort((a, b) => a.x - b.x);
			if (own.length > 1 && !same) svg.append(lineOf(own.map((point) => [point.at, drawn.toY(point.y)]), at, 1.5));
			for (const one of own) drawPoint({ ...drawn, toX: () => one.at }, at, 0, one.y, one.low, one.high, words(one), note, { ring: best.has(one.point), letter });
		});
		picture.show(svg);
		note.textContent = same && runs.length > 1 ? `Of each method, from left to right: ${runs.map((number) => own[number].name).join(", ")}` : "";
	}
	function update() {
		draw();
		drawTexts();
		table.refresh();
	}
	// The same for each of the first texts, on one scale.
	function drawTexts() {
		if (!run.texts) return;
		const { names, of: all, points: own } = run.texts, labels = new Map(run.rows.map((row) => [row.method_key, row.method])), label = (point) => labels.get(point.method_key);
		several.replaceChildren(next(`Text by text${all > names.length ? `, the first ${names.length} of ${whole(all)}` : ""}: ${titleOf(measures, cost())}, against footprint`),
			multiples(names, own.map((point) => ({ name: names[point.text], at: keys.indexOf(label(point)), x: point.footprint, y: point[cost()],
				words: `${label(point)} on ${names[point.text]}: ΔNLL ${signed(point.nll_delta)} nats, KL ${number(point.kl)}, footprint ${percent(point.footprint)}` })), "", String, note));
	}
	drawTexts();
	redrawn(place, draw);
	return update;
});
