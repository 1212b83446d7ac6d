// A stretch of the text, and what became of it under every method: how much is still held, and the query that it died at.

view({
	name: "evidence", title: "Evidence", order: 7, has: (run) => run.maps.length > 0 && run.maps.some((method) => method.delays),
	async open(place, run) {
		const [layers, heads, n] = run.maps[0].shape, rows = layers * heads, pieces = await textOf(run);
		const maps = await Promise.all(run.maps.map((method) => mapOf(run, method))), named = run.spans[0] || { start: Math.floor(n / 2), end: Math.min(n, Math.floor(n / 2) + 8) };
		const start = () => stated("start", named.start, 0, n - 1), end = () => stated("end", Math.max(start() + 1, named.end), start() + 1, n);
		const chosen = () => Math.max(0, run.maps.findIndex((method) => method.key === state.method));
		const field = (name, of) => el("input", { type: "number", min: 0, max: n, "aria-label": name, onchange: (event) => setState({ [of]: event.target.value }) });
		const from = field("first token", "start"), until = field("end, the token after the last", "end"), quote = el("p", { class: "readout" }), box = el("div"), matrix = el("div");
		const results = el("div"), picks = run.spans.map((span) => button(visible(span.name), () => setState({ start: span.start, end: span.end })));
		let svg = null;
		place.append(heading("Evidence", "Choose a stretch of the text, such as an answer's evidence: how much of it is still in the cache as reading goes on, and when the last of it goes.",
			el("label", {}, "Tokens ", from), el("label", {}, "to ", until), pieces && state.token ? button(`From token ${state.token}`, () => setState({ start: state.token, end: Math.min(n, Number(state.token) + 8) })) : null, picks,
			methodChoice(run),
			svgButton(run, "evidence", () => svg)), quote, curveKey(run.maps.map((method) => method.label)), box,
		results, matrix);

		// After which query each entry of the stretch is gone: n where it is held at the end.
		function lives(map) {
			const gone = [];
			for (let row = 0; row < rows; row++) {
				for (let at = row * n + start(); at < row * n + end(); at++) gone.push(map.held[at] ? n : map.expires ? Math.min(n - 1, map.expires[at] - 1) : n - 1);
			}
			return gone;
		}

		function draw() {
			const width = Math.max(340, Math.min(1100, box.clientWidth || 900)), first = start(), drawn = chart(width, Math.min(360, width * 0.5),
				{ min: first, max: Math.max(first + 1, n - 1), title: "query", show: "whole" }, { min: 0, max: 1, title: "share of the stretch held", show: (value) => percent(value, 0) },
				`Share of tokens ${first} to ${end() - 1} that is held, query by query; the numbers are in the table below.`);
			svg = drawn.svg;
			maps.forEach((map, at) => {
				if (!map.expires) return;
				const { colour: paint, mark: kind, dashes } = curve(at), gone = lives(map).filter((query) => query < n).sort((a, b) => a - b), size = rows * (end() - first);
				let path = `M${drawn.toX(end() - 1)},${drawn.toY(1)}`, left = size;
				for (let index = 0; index < gone.length; index++) {
					left--;
					if (gone[index + 1] === gone[index]) continue;
					path += `H${drawn.toX(Math.max(first, gone[index])).toFixed(1)}V${drawn.toY(left / size).toFixed(1)}`;
				}
				path += `H${drawn.toX(n - 1)}`;
				svg.append(el("path", { d: path, fill: "none", stroke: paint, "stroke-width": at === chosen() ? 3 : 1.6, "stroke-dasharray": dashes || null }),
					mark(kind, drawn.toX(n - 1), drawn.toY(left / size), 5, { fill: paint, stroke: paint, "stroke-width": 1.5 }));
			});
			box.replaceChildren(svg);
		}

		function tell() {
			from.value = start();
			until.value = end();
			quote.textContent = `Tokens ${whole(start())} to ${whole(end() - 1)}${pieces ? `: ${quoted(pieces.slice(start(), end()).join(""), 400)}` : ""}`;
			results.replaceChildren(sortableTable({ name: stem(run, "evidence"), caption: "What became of the stretch", rows: maps.map((map) => ({ map, gone: lives(map) })),
				columns: [col("method", (row) => row.map.label, "words"), col("held at the end", (row) => row.gone.filter((query) => query >= n).length / row.gone.length, (value) => bar(percent(value), value, "share")),
					col("half gone after query", (row) => at(row.gone, 0.5), shownQuery), col("last gone after query", (row) => at(row.gone, 1), shownQuery)] }));
			const map = maps[chosen()], size = end() - start();
			const cells = [...Array(rows).keys()].map((row) => ({ row, held: count(map, row) }));
			const grid = el("table", { class: "heads" }, el("caption", {}, `${visible(map.label)}: tokens of the stretch held at the end, by layer (down) and KV head (across)`),
				el("tbody", {}, [...Array(layers).keys()].map((layer) => el("tr", {}, el("th", { scope: "row" }, String(layer)), cells.slice(layer * heads, (layer + 1) * heads).map(({ held }) =>
					el("td", { style: { background: css(mixed(colour("evicted"), colour("kept"), 0.6 * held / size)) } }, `${held} / ${size}`))))));
			matrix.replaceChildren(el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "By layer and KV head" }, grid));
		}
		function count(map, row) {
			let held = 0;
			for (let at = row * n + start(); at < row * n + end(); at++) held += map.held[at];
			return held;
		}
		function at(gone, share) {
			const query = [...gone].sort((a, b) => a - b)[Math.ceil(share * gone.length) - 1];
			return query >= n ? null : query;
		}
		const shownQuery = (value) => (value === null ? "never" : whole(value));
		function update() {
			draw();
			tell();
		}
		update();
		redrawn(place, draw);
		return update;
	},
});
