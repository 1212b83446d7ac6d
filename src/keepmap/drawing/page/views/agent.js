// An agent's returns by episode, a study's fronts, and a history that compressors shorten.

view("agent", "Agent", 9, (run) => run.agent !== undefined, async (place, run) => {
	const { curve: returns, front, raster } = run.agent, part = returns ? await returnsOf(run) : front ? frontOf(run) : rasterOf(run, raster);
	place.append(heading(part.about, part.controls), ...part.nodes);
	return redrawn(place, part.update);
});

// Return curves of every evaluation, a row for each goal of this.
async function returnsOf(run) {
	const { goals, optimum, episodes, curve: { edges, mean, low, high, best } } = run.agent, others = page.runs.filter((other) => other.agent && other.agent.curve), signs = el("div", curveKey(others.map((other) => other.name))), place = svgPlace("returns", signs), gridKey = el("div", shadeKey("nothing", "the goal's best return"));
	const returns = await floatsOf(run.agent.returns), bins = edges.length - 1, highest = max(...optimum, ...returns, 1e-9), middle = (from, at) => (from[at] + from[at + 1] + 1) / 2, at = (row, bin) => returns[row * bins + bin];
	const grid = heatPicture({
		rows: goals.length, columns: bins, keys: ["row", "token"], high: () => clamped(320 / goals.length, 3, 22), across: "episode", of: (row, bin) => min(1, at(row, bin) / (optimum[row] || highest)),
		rowName: (row) => cut(goals[row], 10), columnName: (bin) => whole(edges[bin] + 1), label: () => `Returns of ${goals.length} goals over ${episodes} episodes`,
		words: (row, bin) => `goal ${goals[row]}, episode ${whole(edges[bin] + 1)}${edges[bin + 1] - edges[bin] > 1 ? ` to ${whole(edges[bin + 1])}` : ""}: return ${number(at(row, bin), 2)} of ${number(optimum[row], 2)} at best`,
	});
	const table = numbers(() => ["returns", "Return, mean over goals, and of each of the first goals", upTo(bins),
		[col("from episode", (bin) => edges[bin] + 1, "whole"), col("return", (bin) => mean[bin], "number"), col("low", (bin) => low && low[bin], "number"), col("high", (bin) => high && high[bin], "number"),
			...goals.slice(0, 12).map((goal, row) => col(`goal ${goal}`, (bin) => at(row, bin), "number"))]]);
	return {
		about: "How returns grow from an empty history; the band is the 95 % interval of the mean over goals.",
		controls: [place.buttons, saving("goals", () => grid.canvas, gridKey)],
		nodes: [signs, place.box, next("Goal by goal"), gridKey, grid.node, table],
		update() {
			const top = max(...others.flatMap(({ agent: { curve: one } }) => [one.best || 0, ...one.mean, ...(one.high || [])]), 1e-9);
			const drawn = chart(chartWidth(place.box, 1100), 340, { min: 0, max: max(...others.map((other) => other.agent.episodes)), title: "episode", show: "whole" }, { min: 0, max: top * 1.08, title: "return, mean over goals", show: String }, `Return curves of ${others.length} evaluations`);
			const { svg, toX, toY } = drawn, paint = curve(others.indexOf(run)).colour, band = low && [...low.map((value, bin) => [bin, value]), ...high.map((value, bin) => [bin, value]).reverse()].filter(([, value]) => value !== null);
			if (band && band.length) svg.append(el("path", { d: `M${band.map(([bin, value]) => `${toX(middle(edges, bin)).toFixed(1)},${toY(value).toFixed(1)}`).join("L")}Z`, fill: paint, opacity: 0.18 }));
			if (best) svg.append(dashed(toX(0), toY(best), toX(episodes), toY(best)), el("text.muted", { x: toX(0) + 6, y: toY(best) - 6 }, "an agent that knows the goal"));
			others.forEach((other, index) => drawCurve(drawn, index, other.agent.curve.mean.map((value, bin) => [middle(other.agent.curve.edges, bin), value]), other === run ? 3 : 2));
			place.show(svg);
			grid.update();
		},
	};
}

// What is earned with each compressor, by how much it keeps.
function frontOf(run) {
	const { front: rows, level, about, return: title, lives = [] } = run.agent, names = [...new Set([...lives, ...rows].map((row) => row.compressor))], place = svgPlace("front"), curves = svgPlace("lives"), note = readoutLine();
	const budgets = [...new Set(lives.map((life) => life.percent).filter(Boolean))], shorter = () => budgets.find((budget) => String(budget) === state.shorter) ?? budgets[0], own = () => lives.filter(({ percent }) => [0, shorter()].includes(percent));
	const table = numbers(() => ["lives", `Mean ${title} by episode`, upTo(lives[0].points.length),
		[col("episode", (at) => lives[0].points[at][0]), ...own().map(({ compressor, points }) => col(compressor, (at) => points[at][1], "number"))]]);
	const axis = (values) => { const low = min(...values), high = max(...values), pad = max(0.02, (high - low) * 0.08); return { min: low < 0 ? low - pad : max(0, low - pad), max: high + pad, title }; };
	return {
		about, controls: [place.buttons], nodes: [curveKey(names), place.box, note, ...(lives.length ? [next("Lives, episode by episode"), controls(stateChoice("Shorter by", budgets.map((budget) => [String(budget), `${budget} %`]), "shorter"), curves.buttons), curves.box, table] : [])],
		update() {
			const width = chartWidth(place.box, 1100), drawn = chart(width, 400, { min: 0, max: 1, title: "share of the history's transitions that is kept", show: "percent" },
				{ ...axis(rows.flatMap((row) => [row.mean, row.low ?? row.mean, row.high ?? row.mean, level])), show: level === 1 ? "percent" : String }, `Return against length of ${rows.length} rows`), { svg, toX, toY } = drawn;
			svg.append(dashed(toX(0), toY(level), toX(1), toY(level)));
			names.forEach((name, at) => [true, false].forEach((trained) => {
				const own = rows.filter((row) => row.compressor === name && (row.trained ?? true) === trained).sort((a, b) => a.ratio - b.ratio);
				if (own.length > 1) svg.append(lineOf(own.map((row) => [toX(row.ratio), toY(row.mean)]), at, trained ? 2 : 1));
				own.forEach((row) => drawPoint(drawn, at, row.ratio, row.mean, row.low, row.high, row.words, note, { hollow: !trained, ring: row.on_front }));
			}));
			place.show(svg);
			if (!lives.length) return;
			const of = chart(width, 340, { min: 1, max: max(2, lives[0].points.at(-1)[0]), title: "episode", show: "whole" }, { ...axis(own().flatMap(({ points }) => points.map(([, value]) => value ?? 0))), show: String }, `${title} by episode, ${shorter()} % shorter`);
			own().forEach(({ compressor, points }) => drawCurve(of, names.indexOf(compressor), points));
			curves.show(of.svg);
			table.refresh();
		},
	};
}

function rasterOf(run, { episodes, steps, rewards, held, states, actions, attention }) {
	const first = min(...episodes), rows = max(...episodes) - first + 1, columns = max(...steps), places = new Map(episodes.map((episode, index) => [(episode - first) * columns + steps[index] - 1, index]));
	const names = Object.keys(held), shades = [...names.map((name) => [name, `held by ${visible(name)}`]), ...(attention ? [["attention", "attention from the query"]] : []), ["reward", "reward"]], shade = () => picked("shade", shades);
	const indexOf = (row, column) => places.get(row * columns + column), least = min(...rewards, 0), best = max(...rewards, 0), most = max(...(attention || []), 1e-9), legend = el("div"), rewarded = (index) => Boolean(rewards[index]);
	const facts = [col("episode", (at) => episodes[at]), col("step", (at) => steps[at]), ...(states ? [col("state", (at) => states[at], "words"), col("action", (at) => actions[at], "words")] : []), col("reward", (at) => rewards[at], "hundredths"), ...(attention ? [col("attention", (at) => attention[at], (value) => percent(value, 2))] : [])];
	const picture = heatPicture({
		rows, columns, keys: ["row", "token"], wide: 34, high: (wide) => clamped(min(wide, 460 / rows), 6, 26), across: "step of the episode", rowName: (row) => (rows > 99 ? `${first + row}` : `episode ${first + row}`), columnName: (column) => String(column + 1),
		of: (row, column) => {
			const at = indexOf(row, column), name = shade();
			return at === undefined ? NaN : name === "attention" ? attention[at] / most : name === "reward" ? (rewards[at] - least) / (best - least || 1) : held[name][at];
		},
		words: (row, column) => {
			const at = indexOf(row, column);
			return at === undefined ? `episode ${first + row}, step ${column + 1}: not in this history` : `${facts.map((fact) => `${fact.title} ${fact.show(fact.of(at))}`).join(", ")}${names.length ? `; held by ${names.filter((name) => held[name][at]).map(visible).join(", ") || "none"}` : ""}`;
		},
		dot: (row, column) => rewarded(indexOf(row, column)), label: () => `${episodes.length} transitions of ${rows} episodes, ${rewards.filter(Boolean).length} of them rewarded`,
	});
	return {
		about: "A history, a row for each episode and a cell for each step.", controls: [stateChoice("Shade", shades, "shade"), saving("history", () => picture.canvas)],
		nodes: [legend, picture.node, numbers(() => ["history", "Every transition", [...episodes.keys()], [...facts, ...names.map((name) => col(visible(name), (at) => held[name][at]))]])],
		update() {
			const name = shade(), dot = ["dot", "rewarded"];
			legend.replaceChildren(name === "attention" ? shadeKey("no attention", percent(most, 1), dot) : name === "reward" ? shadeKey(number(least, 1), number(best, 1), dot) : key(["kept", "held"], ["evicted", "dropped"], dot, ["unread", "not in this history"]));
			picture.update();
		},
	};
}
