// Two methods, entry by entry: kept by both, by one, by neither; overlap beside that of chance; all methods.

view("pair", "Two methods", 4, (run) => run.maps.length > 1, async (place, run) => {
	const names = ["neither", "only A", "only B", "both", "not read yet"];
	let pair = [], classes = null, known = "", free = null;
	const first = () => methodOf(run, "a"), second = () => [methodOf(run, "b"), ...run.maps].find((method) => method !== first() || method.key === state.b);
	const picture = entryPicture(run, await textOf(run), () => first().delays && second().delays, (index) => names[classes[index]], draw), { heads, n, rows, slider } = picture;
	const agreement = el("div");
	const table = numbers(() => ["pair", "Compressible positions by layer and KV head", upTo(rows).map((row) => ({ row, counts: countsOf(row) })),
		[...headColumns(heads, ({ row }) => row), ...[3, 1, 2, 0].map((kind) => col(names[kind], (row) => row.counts[kind], "whole")),
			col("overlap", (row) => overlap(row.counts), "share"), col("by chance", (row) => chance([row.counts]), "share")]]);
	place.append(heading("What two methods keep of one text, entry by entry. The overlap is without sinks and window.",
		stateChoice("A", methodsOf(run), "a"), stateChoice("B", methodsOf(run), "b", second().key),
		picture.buttons, saving("pair", () => picture.canvas)),
	...picture.nodes, table, agreement);

	// Of a row, over what neither protects: neither, only A, only B, both.
	function countsOf(row) {
		const counts = [0, 0, 0, 0];
		for (let at = 0; at < n; at++) if (free[at] && classes[row * n + at] < 4) counts[classes[row * n + at]]++;
		return counts;
	}
	const overlap = ([, a, b, both]) => (a + b + both ? both / (a + b + both) : 1);
	// What is expected of two choices of the same numbers per row.
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
			const { held } = await decodedMap(method, false);
			for (let at = 0; at < held.length; at++) counts[at] += held[at];
		}
		for (let at = 0; at < counts.length; at++) of[counts[at]]++;
		agreement.replaceChildren(el("h3", `How many of the ${run.maps.length} methods keep an entry, at the end`), sortableTable("consensus", "Of all entries, sinks and window too", upTo(of.length),
			[col("methods", (row) => row), col("entries", (row) => of[row], (value) => bar(whole(value), value / max(...of), "share")), col("share", (row) => of[row] / counts.length, "share")]));
	}

	function draw([from, until]) {
		const shown = picture.strips({ from, until, classes, ticks: [1, 2, 3], colours: ["neither", "only-a", "only-b", "both", "unread"].map(colour), letters: ["", "A", "B", "2", ""],
			n_sink: min(...pair.map((map) => map.n_sink)), windowStart: max(...pair.map((map) => windowStart(map, slider.step()))) });
		picture.legend.replaceChildren(key(["both", "both (2)"], ["only-a", `only A: ${pair[0].label}`], ["only-b", `only B: ${pair[1].label}`], ["neither", "neither"],
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
			const all = upTo(rows).map(countsOf), sums = upTo(4).map((kind) => all.reduce((sum, counts) => sum + counts[kind], 0));
			picture.facts.replaceChildren(fact(percent(overlap(sums)), "overlap: kept by both, of kept by either"), fact(percent(chance(all)), "the overlap that chance would give"),
				fact(whole(sums[3]), "kept by both"), fact(whole(sums[1]), "only by A"), fact(whole(sums[2]), "only by B"));
			describe(picture.canvas, `${pair[0].label} and ${pair[1].label}: overlap ${percent(overlap(sums))}, ${percent(chance(all))} by chance`);
			table.refresh();
		}
		picture.update();
	}

	await update();
	await consensus();
	return update;
});
