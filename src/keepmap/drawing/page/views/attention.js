// Where attention goes: by layer and head, one head's map and last query, and what an eviction takes away.

view("attention", "Attention", 8, (run) => run.attention !== undefined, async (place, run) => {
	const of = run.attention, { edges, n, evicted, measures } = of, heads = of.heads.length, rows = of.layers.length * heads, columns = edges.length - 1, pieces = await textOf(run), cells = of.map && of.map.cells;
	const measure = () => measures[stated("measure", 0, 0, measures.length - 1)], row = () => stated("layer", 0, 0, of.layers.length - 1) * heads + stated("head", 0, 0, heads - 1), sums = [["shares", "share of all attention"], ["received", "received from queries that see it"]], where = () => picked("across", sums);
	const headOf = (values, at) => values[floor(at / heads)][at % heads], name = (at) => `layer ${of.layers[floor(at / heads)]}, head ${of.heads[at % heads]}`, lost = () => evicted.find((one) => one.label === state.by) || (state.by ? undefined : evicted[0]);
	const spanned = (from, until) => (until - from === 1 ? whole(from) : `${whole(from)} to ${whole(until - 1)}`), span = (at) => `position ${spanned(edges[at], edges[at + 1])}${pieces && edges[at + 1] - edges[at] === 1 ? ` ${quoted(pieces[edges[at]], 40)}` : ""}`;
	const shared = { shares: await floatsOf(of.shares), received: await floatsOf(of.received) }, last = of.row && await floatsOf(of.row.of), gone = new Map(await Promise.all(evicted.map(async (one) => [one, await floatsOf(one.of)]))), maps = of.map && await floatsOf(of.map.largest);
	// Shades are four powers of ten: a sink leaves some for others.
	const scaled = (value, most) => max(0, 1 + log10(value / most) / 4), largest = (values, from, until) => values.subarray(from, until).reduce((most, value) => max(most, value), 1e-9);
	const note = el("div"), query = svgPlace("attention", note), keys = [el("div"), el("div"), el("div")], top = el("h3"), title = next(), most = () => max(...measure().values.flat(), 1e-9), shown = (value) => (measure().kind === "share" ? percent(value) : number(value, 2));
	const matrix = heatPicture({
		rows: of.layers.length, columns: heads, keys: ["layer", "head"], wide: 40, across: "query head", rowName: (at) => `layer ${of.layers[at]}`, columnName: (at) => String(of.heads[at]),
		of: (layer, head) => (measure().values[layer][head] ?? NaN) / most(), words: (layer, head) => `${name(layer * heads + head)}: ${measure().title} ${shown(measure().values[layer][head])}`, label: () => `${measure().title} of ${rows} heads`,
	});
	const start = (at) => floor((at * n) / cells), cell = (query, position) => maps[(row() * cells + query) * cells + position], mapMost = () => largest(maps, row() * cells * cells, (row() + 1) * cells * cells);
	let highest = 1, reach = 1;
	const picture = maps && heatPicture({
		rows: cells, columns: cells, keys: ["query", "key"], wide: max(2, floor(440 / cells)), high: (wide) => wide, across: "position attended to", rowName: (at) => whole(start(at)), columnName: (at) => whole(start(at)),
		of: (query, position) => (position > query ? NaN : scaled(cell(query, position), highest)), label: () => `Attention of ${name(row())}, queries down, positions across`,
		words: (query, position) => `query ${spanned(start(query), start(query + 1))}, position ${spanned(start(position), start(position + 1))}: ${position > query ? "not seen" : `${n > cells ? "the largest attention is " : ""}${percent(cell(query, position), 2)}`}`,
	});
	const strips = heatPicture({
		rows, columns, keys: ["strip", "token"], high: () => clamped(460 / rows, 3, 16), across: "position", rowName: (at) => (at % heads ? "" : `layer ${of.layers[at / heads]}`), columnName: (at) => whole(edges[at]),
		of: (at, column) => scaled(shared[where()][at * columns + column], reach), words: (at, column) => `${name(at)}, ${span(column)}: ${percent(shared[where()][at * columns + column], 2)}`, label: () => `Attention to ${n} positions, a row per layer and head`,
	});
	place.append(heading(`What each head attends to: exact, over ${of.scope}. The first picture chooses the head of the others.`, stateChoice("Measure", measures.map((one, at) => [String(at), one.title]), "measure", String(measures.indexOf(measure()))),
		evicted.length ? stateChoice("Evicted by", [["none", "nothing"], ...evicted.map((one) => [one.label, one.label])], "by", lost()?.label || "none") : null),
	el("div.cards", el("section", top, keys[0], matrix.node, controls(saving("heads", () => matrix.canvas))),
		el("section", el("h3", "The head's map: queries down, positions across"), picture ? [keys[1], picture.node, controls(saving("head", () => picture.canvas))]
			: el("p", "Not in this file: keepmap.draw.attention_heatmap draws it of a profile in memory."))),
	title, note, query.box, controls(query.buttons), next("Where attention goes, a row per layer and head"),
	controls(stateChoice("Of each position", sums, "across"), saving("positions", () => strips.canvas, keys[2])), keys[2], strips.node,
	numbers(() => ["heads", "Head by head, means over the measured queries", upTo(rows),
		[col("layer", (at) => of.layers[floor(at / heads)]), col("head", (at) => of.heads[at % heads]), col("KV head", (at) => of.kv_heads[at % heads]), ...measures.map((one) => col(one.title, (at) => headOf(one.values, at), one.kind, one.about)),
			...run.spans.map(({ name, start, end }) => col(`to ${name}`, (at) => edges.slice(0, -1).reduce((sum, edge, place) => sum + (edge >= start && edge < end) * shared.shares[at * columns + place], 0), "share", "share of all attention")),
			...evicted.map((one) => col(`lost to ${one.label}`, (at) => headOf(one.share, at), "share", "share of the last query's attention that goes to what it evicted"))]]));

	function drawRow() {
		title.textContent = last ? `Query ${whole(of.row.query)}, ${name(row())}: its attention, position by position` : "No query's attention was kept in this profile";
		if (!last) return;
		const from = row() * columns, bars = last.subarray(from, from + columns), away = lost() && gone.get(lost()).subarray(from, from + columns), high = largest(bars), least = high / 1e4;
		const drawn = chart(chartWidth(query.box, 1400), 300, { min: 0, max: n, title: columns < n ? `position (a bar is the sum over about ${whole(n / columns)})` : "position", show: "whole" },
			{ min: least, max: high * 1.05, title: "share of attention", show: (value) => `${rounded(100 * value)} %`, log: true }, `Attention of query ${of.row.query}, ${name(row())}`), { toX, toY } = drawn;
		const path = (values) => [...values].map((value, at) => (value > least ? `M${toX(edges[at]).toFixed(1)},${toY(least)}V${toY(value).toFixed(1)}H${max(toX(edges[at]) + 1, toX(edges[at + 1]) - (columns < 200 ? 1 : 0)).toFixed(1)}V${toY(least)}Z` : "")).join("");
		drawn.svg.append(el("path", { d: path(bars), fill: ink("kept") }), away ? el("path", { d: path(away), fill: ink("only-b"), stroke: ink("text"), "stroke-width": 0.5, "stroke-dasharray": "2 2" }) : "");
		query.show(drawn.svg);
		const shares = away && lost().share.flat();
		note.replaceChildren(away ? key(["kept", "to what is still held"], ["only-b", `to what ${lost().label} evicted: ${percent(shares[row()])} of this head's, ${percent(shares.reduce((sum, value) => sum + value, 0) / rows)} over all heads`]) : "");
	}
	function update() {
		const ends = (value) => shadeKey(`${percent(value / 1e4, 4)} or less`, `${percent(value)}; each quarter of the scale is ten times more`);
		top.textContent = `${measure().title}: ${measure().about}`;
		keys[0].replaceChildren(shadeKey("0", shown(most())));
		if (picture) keys[1].replaceChildren(ends(highest = mapMost()));
		keys[2].replaceChildren(ends(reach = largest(shared[where()])));
		for (const each of [matrix, picture, strips]) if (each) each.update();
		drawRow();
	}
	update();
	redrawn(place, drawRow);
	return update;
});
