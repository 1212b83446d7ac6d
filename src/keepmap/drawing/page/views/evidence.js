// A stretch of the text under every method.

view("evidence", "Evidence", 7, (run) => run.maps.length > 0 && run.maps.some((method) => method.delays), async (place, run) => {
	const [layers, heads, n] = run.maps[0].shape, rows = layers * heads, pieces = await textOf(run);
	const named = run.spans[0] || { start: floor(n / 2), end: min(n, floor(n / 2) + 8) };
	const start = () => stated("start", named.start, 0, n - 1), end = () => stated("end", max(start() + 1, named.end), start() + 1, n);
	const field = (name, of) => el("input", { type: "number", min: 0, max: n, "aria-label": name, onchange: (event) => setState({ [of]: event.target.value }) });
	const from = field("first token", "start"), until = field("end, the token after the last", "end"), quote = el("p.readout"), signs = el("div", curveKey(run.maps.map((method) => method.label))), picture = svgPlace("evidence", signs), matrix = el("div"), slider = stepSlider(n, () => run.maps[chosenMethod(run)].delays);
	let all = [], known = "";
	const results = el("div"), picks = run.spans.map((span) => button(span.name, () => setState({ start: span.start, end: span.end })));
	place.append(heading("How much of a stretch of the text, such as an answer's evidence, is held as reading goes on.",
		el("label", "Tokens ", from), el("label", "to ", until), pieces && state.token ? button(`From token ${state.token}`, () => setState({ start: state.token, end: min(n, Number(state.token) + 8) })) : null, picks,
		methodChoice(run), picture.buttons), quote, signs, picture.box, results, slider.node, matrix);

	// Of each method, after which query each entry is gone: n if never.
	async function read(now = `${start()} ${end()}`) {
		if (now === known) return;
		const [first, last] = [start(), end()], each = [];
		for (const method of run.maps) {
			const map = await mapOf(run, method), gone = [];
			for (let row = 0; row < rows; row++) {
				for (let at = row * n + first; at < row * n + last; at++) gone.push(map.held[at] ? n : map.expires ? min(n - 1, map.expires[at] - 1) : n - 1);
			}
			each.push({ label: map.label, delays: map.delays, gone, sorted: [...gone].sort((a, b) => a - b) });
		}
		[all, known] = [each, now];
	}
	const held = (gone) => gone.filter((query) => query >= n).length, shownQuery = (query, map) => (query === null ? "never" : map.delays ? queryOf(map, query) : "not in this file");
	const after = (gone, share) => { const query = gone[ceil(share * gone.length) - 1]; return query >= n ? null : query; };

	function draw() {
		const width = chartWidth(picture.box, 1100), first = start(), size = rows * (end() - first), drawn = chart(width, min(360, width * 0.5),
			{ min: first, max: max(first + 1, n - 1), title: "query", show: "whole" }, { min: 0, max: 1, title: "share of the stretch held", show: "percent" },
			`Share of tokens ${first} to ${end() - 1} that is held, query by query`);
		all.forEach(({ delays, sorted: gone }, at) => {
			if (!delays) return;
			// Tokens come with their query, and go after the last that sees them.
			const steps = [[first, 0]], queries = new Set([...upTo(end() - first).map((token) => first + token), ...gone.filter((query) => query < n)]);
			let past = 0;
			for (const query of [...queries].sort((a, b) => a - b)) {
				while (gone[past] <= query) past++;
				steps.push([query, steps[steps.length - 1][1]], [query, (rows * (min(query, end() - 1) + 1 - first) - past) / size]);
			}
			drawCurve(drawn, at, [...steps, [n - 1, held(gone) / size]], at === chosenMethod(run) ? 3 : 1.6);
		});
		picture.show(drawn.svg);
	}

	function tell() {
		const { label, gone: entries } = all[chosenMethod(run)], size = end() - start(), query = slider.step();
		slider.tell();
		from.value = start();
		until.value = end();
		quote.textContent = `Tokens ${whole(start())} to ${whole(end() - 1)}${pieces ? `: ${quoted(pieces.slice(start(), end()).join(""), 400)}` : ""}`;
		results.replaceChildren(sortableTable("evidence", "What became of the stretch", all,
			[col("method", "label", "words"), col("held at the end", ({ gone }) => held(gone) / gone.length, "bar"),
				col("half gone after query", ({ sorted }) => after(sorted, 0.5), shownQuery), col("last gone after query", ({ sorted }) => after(sorted, 1), shownQuery)]));
		const cell = (count) => el("td", { style: { background: css(mixed(colour("evicted"), colour("kept"), 0.6 * count / size)) } }, `${count} / ${size}`);
		matrix.replaceChildren(wide("By layer and KV head", el("table.heads", el("caption", `${label}: tokens held after query ${query}, by layer (down) and KV head (across)`),
			el("tbody", upTo(layers).map((layer) => el("tr", el("th", { scope: "row" }, String(layer)), upTo(heads).map((head) => cell(entries.slice((layer * heads + head) * size, (layer * heads + head + 1) * size).filter((gone, at) => gone > query && start() + at <= query).length))))))));
	}
	async function update() {
		await read();
		draw();
		tell();
	}
	await update();
	redrawn(place, draw);
	return update;
});
