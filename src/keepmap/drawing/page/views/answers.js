// Questions with known answers: what methods answer with how much memory, and keep of the evidence.

view("answers", "Answers", 11, (run) => run.answers !== undefined, async (place, run) => {
	const { tasks, methods: keys, densities, summary, rows, heads, redacted } = run.answers, note = readoutLine(), shares = heads && await floatsOf(heads.of);
	const measures = [["score", "score: share of the answers"], ["nll", "NLL of the right answer"]], sizes = [["held", "held when the answer begins"], ["footprint", "held on average until then"]];
	const given = densities.map((value) => [String(value), number(value, 2)]), asked = tasks.map((name) => [name, name]);
	const of = () => picked("measure", measures), task = () => picked("task", asked), method = () => picked("method", keys), density = () => Number(picked("density", given)), numberOf = (name) => keys.findIndex(([own]) => own === name);
	const several = el("div"), kept = el("div"), evidence = el("div.cards"), answers = el("div");
	let pictures = [], known = "";
	place.append(heading("What is answered right against the share of the full cache that is held. Dashed is the full cache; bars are 95 % intervals over contexts.",
		stateChoice("Measure", measures, "measure"), stateChoice("Memory", sizes, "size")), curveKey(keys.map(([, label]) => label)), several, note,
	next("What was kept of the evidence, and what was answered"),
	controls(stateChoice("Task", asked, "task"), stateChoice("Method", keys, "method"), stateChoice("Density", given, "density")), kept, evidence, next("Answer by answer"), answers);

	function drawTasks() {
		const size = picked("size", sizes), name = of(), points = summary.filter((row) => row[name] !== null).map((row) => ({ name: row.task, at: numberOf(row.method), x: row[size], y: row[name], low: row[`${name}_low`], high: row[`${name}_high`],
			words: `${row.label} on ${row.task}, ${percent(row[size])} held: score ${percent(row.score)}, NLL ${number(row.nll, 3)}, ${percent(row.kept)} of the evidence kept` }));
		several.replaceChildren(multiples(tasks.filter((own) => points.some((point) => point.name === own)), points, name === "nll" ? "nats per token" : "score", name === "nll" ? String : "percent", note));
	}

	function drawKept() {
		const own = summary.filter((row) => row.task === task() && row.kept_right !== null && row.method !== "full");
		kept.replaceChildren(own.length ? sortableTable("evidence", `${task()}: answers by whether half of the evidence's entries were held`, own,
			[col("method", "label", "words"), col("density", "density", "hundredths"), col("evidence kept", "kept", "bar"), col("looked at", "mass", "share"),
				...["kept, right", "kept, wrong", "lost, right", "lost, wrong"].map((title) => col(title, (row) => row[title.replace(", ", "_")])),
				col("score where kept", "score_kept", "share"), col("score where lost", "score_lost", "share")]) : "No evidence is known of this task.");
	}

	function drawHeads() {
		const places = heads ? heads.places.map((entry, at) => [...entry, at]).filter(([name, key, of]) => name === task() && key === method() && of === density()) : [], [layers, across] = heads ? heads.shape : [];
		pictures = places.map(([, , , right, , at]) => {
			const share = (layer, head) => shares[(at * layers + layer) * across + head];
			return heatPicture({ rows: layers, columns: across, keys: ["layer", "head"], wide: 40, across: "KV head", rowName: (layer) => `layer ${layer}`, columnName: String, of: share,
				words: (layer, head) => `layer ${layer}, KV head ${head}: ${percent(share(layer, head))} of the evidence held`, label: () => `Evidence held where answers are ${right ? "" : "not "}right, by layer and KV head` });
		});
		evidence.replaceChildren(...places.map(([, , , right, count], at) => el("section", el("h3", `${right ? "Answered right" : "Not right"}: mean of ${whole(count)}`), shadeKey("nothing held", "all"), pictures[at].node, controls(saving(right ? "right" : "wrong", () => pictures[at].canvas)))));
	}

	function drawAnswers() {
		const own = rows.filter((row) => row[0] === task()), full = (row) => own.find((other) => other[3] === "full" && other[1] === row[1] && other[2] === row[2])[5];
		const label = keys[numberOf(method())][1], said = (text, row) => (text === null ? "–" : redacted || text === full(row) ? text : partedText(text, full(row)));
		answers.replaceChildren(sortableTable("answers", `${task()}, density ${number(density(), 2)}; ▶ is where ${label} departs from the full cache`, own.filter((row) => row[3] === method() && row[4] === density()),
			[col("sample", 1), col("question", 2), col("right answer", 6, "words"), col("full cache", full, "words"), { ...col(label, 5, said), words: true },
				col("score", 7, "share"), col("NLL", 8, (value) => number(value, 3)), col("evidence kept", 9, "share"), col("looked at", 10, "share"), col("all of it gone after query", 11, (value) => (value === null ? "some held" : whole(value)))]));
	}

	function update() {
		const now = `${task()} ${method()} ${density()}`;
		drawTasks();
		if (now !== known) [drawKept, drawHeads, drawAnswers].forEach((draw) => draw());
		known = now;
		pictures.forEach((picture) => picture.update());
	}
	update();
	redrawn(place, drawTasks);
	return update;
});
