// What an agent learned in its context: returns by episode, a study's fronts, and a history that compressors shorten.

view({
	name: "agent", title: "Agent", order: 9, has: (run) => run.agent !== undefined,
	async open(place, run) {
		const { curve: returns, front, raster } = run.agent, part = returns ? await returnsOf(run) : front ? frontOf(run) : rasterOf(run, raster);
		place.append(heading(part.about, part.controls), ...part.nodes);
		part.update();
		redrawn(place, part.update);
		return part.update;
	},
});

// Return curves of every evaluation on the page, with this one's interval, and a row for each of its goals.
async function returnsOf(run) {
	const { goals, optimum, episodes, curve: { edges, mean, low, high, best } } = run.agent, others = page.runs.filter((other) => other.agent && other.agent.curve), place = svgPlace(run, "returns");
	const returns = await floatsOf(run.agent.returns), bins = edges.length - 1, highest = Math.max(...optimum, ...returns, 1e-9), middle = (from, at) => (from[at] + from[at + 1] + 1) / 2, at = (row, bin) => returns[row * bins + bin];
	const grid = heatPicture({
		rows: goals.length, columns: bins, keys: ["row", "token"], high: () => clamped(320 / goals.length, 3, 22), across: "episode", of: (row, bin) => Math.min(1, at(row, bin) / (optimum[row] || highest)),
		rowName: (row) => shortened(goals[row], 10), columnName: (bin) => whole(edges[bin] + 1), label: () => `Returns of ${goals.length} goals over ${episodes} episodes`,
		words: (row, bin) => `goal ${goals[row]}, episode ${whole(edges[bin] + 1)}${edges[bin + 1] - edges[bin] > 1 ? ` to ${whole(edges[bin + 1])}` : ""}: return ${number(at(row, bin), 2)} of ${number(optimum[row], 2)} at best`,
	});
	const table = numbers(() => sortableTable({ run, name: "returns", caption: "Return, mean over goals, and of each of the first goals", rows: upTo(bins),
		columns: [col("from episode", (bin) => edges[bin] + 1, "whole"), col("return", (bin) => mean[bin], "number"), col("low", (bin) => low && low[bin], "number"), col("high", (bin) => high && high[bin], "number"),
			...goals.slice(0, 12).map((goal, row) => col(`goal ${goal}`, (bin) => at(row, bin), "number"))] }));
	return {
		about: "How returns grow from episode to episode, from an empty history; the band is the 95 % interval of the mean over goals. Below, a row for each goal.",
		controls: [place.button, pngButton(run, "goals", grid.canvas)],
		nodes: [curveKey(others.map((other) => other.name)), place.box, next("Goal by goal"), shadeKey("nothing", "the goal's best return"), grid.node, table],
		update() {
			const top = Math.max(...others.flatMap(({ agent: { curve: one } }) => [one.best || 0, ...one.mean, ...(one.high || [])]), 1e-9);
			const drawn = chart(chartWidth(place.box, 1100), 340, { min: 0, max: Math.max(...others.map((other) => other.agent.episodes)), title: "episode", show: "whole" }, { min: 0, max: top * 1.08, title: "return, mean over goals", show: String }, `Return curves of ${others.length} evaluations`);
			const { svg, toX, toY } = drawn, paint = curve(others.indexOf(run)).colour, band = low && [...low.map((value, bin) => [bin, value]), ...high.map((value, bin) => [bin, value]).reverse()].filter(([, value]) => value !== null);
			if (band && band.length) svg.append(el("path", { d: `M${band.map(([bin, value]) => `${toX(middle(edges, bin)).toFixed(1)},${toY(value).toFixed(1)}`).join("L")}Z`, fill: paint, opacity: 0.18 }));
			if (best) svg.append(dashed(toX(0), toY(best), toX(episodes), toY(best)), el("text", { class: "muted", x: toX(0) + 6, y: toY(best) - 6 }, "an agent that knows the goal"));
			others.forEach((other, index) => drawCurve(drawn, index, other.agent.curve.mean.map((value, bin) => [middle(other.agent.curve.edges, bin), value]), other === run ? 3 : 2));
			place.show(svg);
			grid.update();
		},
	};
}

// What each compressor keeps of the baseline's return, by how much of the history it keeps.
function frontOf(run) {
	const rows = run.agent.front, names = [...new Set(rows.map((row) => row.compressor))], place = svgPlace(run, "front"), note = readoutLine();
	const words = (row) => `${row.compressor}, ${row.percent} % shorter, ${row.trained ? "trained with it" : "in rollout only"}: ${percent(row.mean)} of the baseline's return${row.low === null ? "" : ` (${percent(row.low)} … ${percent(row.high)})`}`;
	return {
		about: "What compressors keep of the baseline's return (the dashed line), against how much of the history they keep. Filled marks were trained with the compressor, hollow ones only played with it.",
		controls: [place.button], nodes: [curveKey(names), place.box, note],
		update() {
			const ends = rows.flatMap((row) => [row.mean, row.low ?? row.mean, row.high ?? row.mean, 1]), drawn = chart(chartWidth(place.box, 1100), 400, { min: 0, max: 1, title: "share of the history's transitions that is kept", show: "percent" },
				{ min: Math.max(0, Math.min(...ends, 0.9) - 0.05), max: Math.max(...ends) + 0.05, title: "share of the baseline's return", show: "percent" }, `Return against length of ${rows.length} rows`), { svg, toX, toY } = drawn;
			svg.append(dashed(toX(0), toY(1), toX(1), toY(1)));
			names.forEach((name, at) => [true, false].forEach((trained) => {
				const own = rows.filter((row) => row.compressor === name && row.trained === trained).sort((a, b) => a.ratio - b.ratio);
				if (own.length > 1) svg.append(lineOf(own.map((row) => [toX(row.ratio), toY(row.mean)]), at, trained ? 2 : 1));
				own.forEach((row) => drawPoint(drawn, at, row.ratio, row.mean, row.low, row.high, words(row), note, { hollow: !trained }));
			}));
			place.show(svg);
		},
	};
}

// A history, a row per episode and a column per step: what was seen and done, and what a compressor holds of it.
function rasterOf(run, { episodes, steps, rewards, held, states, actions, attention }) {
	const first = Math.min(...episodes), rows = Math.max(...episodes) - first + 1, columns = Math.max(...steps), places = new Map(episodes.map((episode, index) => [(episode - first) * columns + steps[index] - 1, index]));
	const names = Object.keys(held), shades = [...names.map((name) => [name, `held by ${visible(name)}`]), ...(attention ? [["attention", "attention from the query"]] : []), ["reward", "reward"]], shade = () => (shades.find(([name]) => name === state.shade) || shades[0])[0];
	const indexOf = (row, column) => places.get(row * columns + column), least = Math.min(...rewards, 0), best = Math.max(...rewards, 0), most = Math.max(...(attention || []), 1e-9), legend = el("div"), rewarded = (index) => Boolean(rewards[index]);
	const facts = [col("episode", (at) => episodes[at]), col("step", (at) => steps[at]), ...(states ? [col("state", (at) => states[at], "words"), col("action", (at) => actions[at], "words")] : []), col("reward", (at) => rewards[at], "hundredths"), ...(attention ? [col("attention", (at) => attention[at], (value) => percent(value, 2))] : [])];
	const picture = heatPicture({
		rows, columns, keys: ["row", "token"], wide: 34, high: (wide) => clamped(Math.min(wide, 460 / rows), 6, 26), across: "step of the episode", rowName: (row) => (rows > 99 ? `${first + row}` : `episode ${first + row}`), columnName: (column) => String(column + 1),
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
		about: "A history, a row for each episode and a cell for each step; points are rewards.", controls: [stateChoice("Shade", shades, "shade", shade()), pngButton(run, "history", picture.canvas)],
		nodes: [legend, picture.node, numbers(() => sortableTable({ run, name: "history", caption: "Every transition", rows: [...episodes.keys()], columns: [...facts, ...names.map((name) => col(visible(name), (at) => held[name][at]))] }))],
		update() {
			const name = shade(), dot = ["dot", "rewarded"];
			legend.replaceChildren(name === "attention" ? shadeKey("no attention", percent(most, 1), dot) : name === "reward" ? shadeKey(number(least, 1), number(best, 1), dot) : key(["kept", "held"], ["evicted", "dropped"], dot, ["unread", "not in this history"]));
			picture.update();
		},
	};
}
