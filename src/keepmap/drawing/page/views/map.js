// Which entries the cache holds: a row per layer and KV head, exact cells near, shares with ticks far.

view("map", "Map", 3, (run) => run.maps.length > 0, async (place, run) => {
	const chosen = () => methodOf(run), pieces = await textOf(run), picture = entryPicture(run, pieces, () => chosen().delays, words, draw), { layers, heads, n, rows, slider } = picture;
	let map = null, classes = null, known = "";
	const table = numbers(() => ["map", `What ${map.label} holds after query ${slider.step()}`, upTo(rows),
		[...headColumns(heads), col("held", (row) => counted(row, 0, n), "whole"), col("share of those read", (row) => counted(row, 0, n) / (slider.step() + 1), "share"),
			col("in sight", (row) => counted(row, ...picture.range()), "whole", "in the positions of the picture")]]);
	place.append(
		heading(`What the cache holds of the first text: ${layers} layers × ${heads} KV heads × ${whole(n)} positions.`,
			methodChoice(run), picture.buttons, saving("map", () => picture.canvas),
			pieces ? button("See in the text", () => open("text")) : null),
		...picture.nodes, table);

	function counted(row, from, until) {
		let count = 0;
		for (let at = row * n + from; at < row * n + until; at++) count += classes[at] & 1;
		return count;
	}

	function words(index, at) {
		const what = classes[index], name = ["evicted", "kept", "not read yet"][what];
		if (slider.step() >= n - 1) return `${name}; ${reason(map, at, index)}`;
		return what === 1 && map.expires[index] < n ? `${name}, until query ${queryOf(map, map.expires[index] - 1)}` : name;
	}

	function draw([from, until]) {
		const step = slider.step(), shown = picture.strips({ from, until, classes, colours: ["evicted", "kept", "unread"].map(colour), ticks: [1], n_sink: map.n_sink, windowStart: windowStart(map, step) });
		picture.legend.replaceChildren(key(["kept", "kept"], ["evicted", "evicted"], ...(step < n - 1 ? [["unread", "not read yet"]] : []),
			...(until - from > shown.width ? [["half", "half of a column kept"], ["tick", "tick below: any kept"]] : []), ["sink", "sinks"], ["window", "window"], ...spanNames(run).slice(0, 7).map((name, at) => [`span curve-${at}`, name])));
	}

	async function update() {
		const method = chosen(), step = slider.step();
		if (known !== `${method.key} ${step}`) {
			known = `${method.key} ${step}`;
			map = await mapOf(run, method);
			classes = classesAt(map, step);
			let held = 0;
			for (let row = 0; row < rows; row++) held += counted(row, 0, step + 1);
			const share = percent(held / (rows * (step + 1)));
			picture.facts.replaceChildren(fact(share, `of the entries read are held after query ${whole(step)}`),
				fact(whole(held), `of ${whole(rows * n)} entries`), fact(map.density === null ? `≥ ${map.threshold}` : percent(map.density, 0), map.density === null ? "the threshold" : "the density that was asked for"));
			describe(picture.canvas, `${map.label}: ${share} of the entries read are held after query ${step}`);
			table.refresh();
		}
		picture.update();
	}

	await update();
	return update;
});
