// Two methods, entry by entry: kept by both, by one, by neither; their overlap beside that of chance; and all methods.

view({
	name: "pair", title: "Two methods", order: 4, has: (run) => run.maps.length > 1,
	async open(place, run) {
		const [layers, heads, n] = run.maps[0].shape, rows = layers * heads, pieces = await textOf(run);
		const canvas = el("canvas", { tabindex: "0", role: "img" }), readout = readoutLine(), facts = el("ul", { class: "facts" });
		const slider = stepSlider(n, run.maps.every((method) => method.delays)), part = stripWindow(canvas, n, rows), agreement = el("div");
		const legend = el("div"), options = run.maps.map((method) => [method.key, visible(method.label)]);
		const first = () => methodOf(run, "a") || run.maps[0], second = () => methodOf(run, "b") || run.maps.find((method) => method !== first());
		let pair = [], classes = null, known = "", free = null;
		const names = ["neither", "only A", "only B", "both", "not read yet"];
		const table = numbers("The numbers of this picture", () => sortableTable({
			name: stem(run, `pair-${pair[0].key}-${pair[1].key}`), caption: "Compressible positions by layer and KV head, and the overlap that chance would give",
			columns: [col("layer", (row) => Math.floor(row.row / heads)), col("KV head", (row) => row.row % heads),
				...[3, 1, 2, 0].map((kind) => col(names[kind], (row) => row.counts[kind], "whole")),
				col("overlap", (row) => overlap(row.counts), "share"), col("by chance", (row) => chance([row.counts]), "share")],
			rows: [...Array(rows).keys()].map((row) => ({ row, counts: countsOf(row) })),
		}));
		place.append(heading("Two methods", "What two methods keep of the same text, entry by entry. Sinks and window, which all keep, are left out of the overlap.",
			stateChoice("A", options, "a", first().key), stateChoice("B", options, "b", second().key),
			part.buttons, pngButton(run, "pair", canvas)),
		facts, legend, el("div", { class: "picture" }, canvas), slider.node, readout, table, agreement);

		// Of a row, over what neither protects: neither, only A, only B, both.
		function countsOf(row) {
			const counts = [0, 0, 0, 0];
			for (let at = 0; at < n; at++) if (free[at] && classes[row * n + at] < 4) counts[classes[row * n + at]]++;
			return counts;
		}
		const overlap = ([, a, b, both]) => (a + b + both ? both / (a + b + both) : 1);
		// The overlap that is expected of two choices of the same numbers per row.
		function chance(all) {
			let both = 0, either = 0;
			for (const [neither, a, b, shared] of all) {
				const size = neither + a + b + shared, expected = size ? ((a + shared) * (b + shared)) / size : 0;
				both += expected;
				either += a + b + 2 * shared - expected;
			}
			return either ? both / either : 1;
		}

		async function consensus() {
			const counts = new Uint8Array(rows * n), of = new Float64Array(run.maps.length + 1);
			for (const method of run.maps) {
				const { held } = await mapOf(run, method);
				for (let at = 0; at < held.length; at++) counts[at] += held[at];
			}
			for (let at = 0; at < counts.length; at++) of[counts[at]]++;
			agreement.replaceChildren(el("h3", {}, `How many of the ${run.maps.length} methods keep an entry, at the end`), sortableTable({
				name: stem(run, "consensus"), caption: "Of all entries, sinks and window too", rows: [...of.keys()],
				columns: [col("methods", (row) => row), col("entries", (row) => of[row], (value) => bar(whole(value), value / Math.max(...of), "share")), col("share", (row) => of[row] / counts.length, "share")],
			}));
		}

		function draw() {
			if (!classes || !canvas.isConnected) return;
			const [from, until] = part.range();
			const shown = drawStrips(canvas, { rows, heads, n, from, until, classes, step: slider.step(), cursor: part.cursor(), spans: run.spans, ticks: [1, 2, 3],
				colours: ["neither", "only-a", "only-b", "both", "unread"].map(colour), n_sink: Math.min(...pair.map((map) => map.n_sink)), windowStart: Math.max(...pair.map((map) => windowStart(map, slider.step()))) });
			legend.replaceChildren(key(["both", "both"], ["only-a", `only A: ${visible(pair[0].label)}`], ["only-b", `only B: ${visible(pair[1].label)}`], ["neither", "neither"],
				...(until - from > shown.width ? [["tick", "tick below: kept by one alone, else by both"]] : [])));
		}

		async function update() {
			const step = slider.step(), now = `${first().key} ${second().key} ${step}`;
			if (now !== known) {
				known = now;
				pair = await Promise.all([mapOf(run, first()), mapOf(run, second())]);
				const [a, b] = pair.map((map) => classesAt(map, step));
				classes = new Uint8Array(a.length);
				for (let at = 0; at < a.length; at++) classes[at] = a[at] === 2 ? 4 : a[at] + 2 * b[at];
				free = new Uint8Array(n).map((_, at) => at <= step && !pair.some((map) => isProtected(map, at, step)));
				const all = [...Array(rows).keys()].map(countsOf), sums = [0, 1, 2, 3].map((kind) => all.reduce((sum, counts) => sum + counts[kind], 0));
				facts.replaceChildren(fact(percent(overlap(sums)), "overlap: kept by both, of kept by either"), fact(percent(chance(all)), "the overlap that chance would give"),
					fact(whole(sums[3]), "kept by both"), fact(whole(sums[1]), "only by A"), fact(whole(sums[2]), "only by B"));
				canvas.setAttribute("aria-label", `${pair[0].label} and ${pair[1].label}: overlap ${percent(overlap(sums))}, ${percent(chance(all))} by chance. The numbers are in the table below.`);
				table.refresh();
			}
			slider.tell();
			const { row, at } = part.cursor();
			readout.textContent = `${rowName(pair[0], row)}, position ${whole(at)}${pieces ? ` ${quoted(pieces[at], 60)}` : ""}${spansAt(run, at)}: ${names[classes[row * n + at]]}`;
			requestAnimationFrame(draw);
		}

		canvas.addEventListener("keydown", (event) => {
			if (event.key === "[" || event.key === "]") slider.by(event.key === "]" ? 1 : -1);
		});
		await update();
		redrawn(canvas, draw);
		draw();
		await consensus();
		return update;
	},
});
