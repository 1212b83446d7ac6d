// Which entries the cache holds: a row per layer and KV head, exact cells when near, shares with ticks when far.

view({
	name: "map", title: "Map", order: 3, has: (run) => run.maps.length > 0,
	async open(place, run) {
		const [layers, heads, n] = run.maps[0].shape, rows = layers * heads, pieces = await textOf(run);
		const canvas = el("canvas", { tabindex: "0", role: "img" }), legend = el("div"), readout = readoutLine();
		const facts = el("ul", { class: "facts" }), slider = stepSlider(n, run.maps.some((method) => method.delays));
		const part = stripWindow(canvas, n, rows);
		let map = null, classes = null, known = "", waiting = false;
		const table = numbers("The numbers of this picture", () => sortableTable({
			name: stem(run, `map-${map.key}`), caption: `What ${visible(map.label)} holds after query ${slider.step()}`,
			columns: [col("layer", (row) => Math.floor(row / heads)), col("KV head", (row) => row % heads),
				col("held", (row) => counted(row, 0, n), "whole"), col("share of those read", (row) => counted(row, 0, n) / (slider.step() + 1), "share"),
				col("in sight", (row) => counted(row, ...part.range()), "whole", "in the positions of the picture")],
			rows: [...Array(rows).keys()],
		}));
		place.append(
			heading("Map", `What the cache holds of the first text: ${layers} layers × ${heads} KV heads × ${whole(n)} positions.`,
				methodChoice(run),
				part.buttons, pngButton(run, () => `map-${map.key}`, canvas),
				pieces ? button("See in the text", () => setState({ view: "text" })) : null),
			facts, legend, el("div", { class: "picture" }, canvas), slider.node, readout, table);

		function counted(row, from, until) {
			let count = 0;
			for (let at = row * n + from; at < row * n + until; at++) if (classes[at] === 1) count++;
			return count;
		}

		function words({ row, at }) {
			const index = row * n + at, what = ["evicted", "kept", "not read yet"][classes[index]];
			const gone = classes[index] === 1 && map.expires && map.expires[index] < n ? `, until query ${whole(map.expires[index] - 1)}` : "";
			const why = classes[index] === 2 ? "" : slider.step() < n - 1 ? gone : `; ${reason(map, at, index, null)}`;
			return `${rowName(map, row)}, position ${whole(at)}${pieces ? ` ${quoted(pieces[at], 60)}` : ""}${spansAt(run, at)}: ${what}${why}`;
		}

		function draw() {
			if (!map || !canvas.isConnected) return;
			const [from, until] = part.range(), step = slider.step();
			const shown = drawStrips(canvas, { rows, heads, n, from, until, classes, step, cursor: part.cursor(), spans: run.spans,
				colours: [colour("evicted"), colour("kept"), colour("unread")], ticks: [1], n_sink: map.n_sink, windowStart: windowStart(map, step) });
			const several = until - from > shown.width;
			legend.replaceChildren(key(["kept", "kept"], ["evicted", "evicted"], ...(step < n - 1 ? [["unread", "not read yet"]] : []),
				...(several ? [["half", "half of a column kept"], ["tick", "tick below: any kept"]] : []), ["sink", "sinks"], ["window", "window"], ...(run.spans.length ? [["span", "spans"]] : [])));
		}

		async function update() {
			const method = methodOf(run, "method") || run.maps[0], step = slider.step();
			if (known !== `${method.key} ${step}`) {
				known = `${method.key} ${step}`;
				map = await mapOf(run, method);
				classes = classesAt(map, step);
				let held = 0;
				for (let at = 0; at < classes.length; at++) held += classes[at] === 1;
				facts.replaceChildren(fact(percent(held / (rows * (step + 1))), `of the entries read are held after query ${whole(step)}`),
					fact(whole(held), `of ${whole(rows * n)} entries`), fact(map.density === null ? `≥ ${map.threshold}` : percent(map.density, 0), map.density === null ? "the threshold" : "the density that was asked for"));
				canvas.setAttribute("aria-label", `${map.label}: ${percent(held / (rows * (step + 1)))} of the entries read are held after query ${step}. Arrow keys go from cell to cell; the numbers are in the table below.`);
				table.refresh();
			}
			slider.tell();
			readout.textContent = words(part.cursor());
			if (!waiting) {
				waiting = true;
				requestAnimationFrame(() => { waiting = false; draw(); });
			}
		}

		canvas.addEventListener("pointermove", (event) => {
			const under = part.cell(event);
			if (under && !event.buttons) readout.textContent = words(under);
		});
		canvas.addEventListener("keydown", (event) => {
			if (event.key === "[" || event.key === "]") slider.by((event.key === "]" ? 1 : -1) * (event.shiftKey ? 10 : 1));
		});
		await update();
		redrawn(canvas, draw);
		draw();
		return update;
	},
});
