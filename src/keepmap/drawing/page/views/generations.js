// What the model said with a smaller cache and with the full one, side by side; the first difference is marked.

view({
	name: "generations", title: "Generations", order: 10, has: (run) => run.generation !== undefined,
	open(place, run) {
		const { label, answer, full, divergence, moments, redacted } = run.generation, texts = full ? [answer.text, full.text] : [answer.text];
		let same = 0, svg = null;
		while (full && same < answer.text.length && answer.text[same] === full.text[same]) same++;
		const said = (title, { text, n }) => el("section", { class: "card", "aria-label": title }, el("h3", {}, `${visible(title)}: ${whole(n)} tokens`),
			el("p", { class: "said", tabindex: "0" }, !full || redacted ? shownLines(text) : [el("span", { class: "same" }, shownLines(text.slice(0, same))),
				divergence === null ? null : [el("b", { class: "parting" }, "▶", el("span", { class: "unseen" }, " here they part: ")), el("span", { class: "apart" }, shownLines(text.slice(same)))]]));
		const box = el("div"), rows = moments.map(([tokens, bytes, whole_]) => ({ tokens, bytes, full: whole_ }));
		place.append(heading("Generations", !full ? "What the model said. Generate with `compare` to have the full cache's answer beside it."
			: divergence === null ? "Both caches give the same tokens." : `Both begin alike; new token ${whole(divergence + 1)} is the first that differs, at ▶.`,
		button("Copy both", () => copy(texts.join("\n\n---\n\n"), "The answers")), svgButton(run, "bytes", () => svg)),
		el("div", { class: "cards" }, said(label, answer), full ? said("the full cache", full) : null),
		el("h3", { class: "next" }, "Bytes of the cache after each pass"), curveKey([label, "the full cache"]), box,
		numbers("The numbers of this picture", () => sortableTable({ name: stem(run, "bytes"), caption: "After each pass of the model", rows,
			columns: [col("tokens seen", (row) => row.tokens, "whole"), col("bytes held", (row) => row.bytes, "whole"), col("bytes of the full cache", (row) => row.full, "whole")] })));
		function draw() {
			if (!rows.length) return box.replaceChildren("No pass was recorded.");
			const most = Math.max(...rows.map((row) => Math.max(row.full, row.bytes))), [unit, by] = most > 4e6 ? ["MB", 1e6] : ["kB", 1e3];
			const drawn = chart(chartWidth(box, 1100), 260, { min: rows[0].tokens, max: Math.max(rows[0].tokens + 1, rows[rows.length - 1].tokens), title: "tokens seen", show: "whole" },
				{ min: 0, max: (most / by) * 1.05, title: `cache (${unit})`, show: String }, "Bytes of both caches, pass by pass; the numbers are in the table below.");
			["bytes", "full"].forEach((name, at) => drawCurve(drawn, at, rows.map((row) => [row.tokens, row[name] / by])));
			svg = drawn.svg;
			return box.replaceChildren(svg);
		}
		draw();
		redrawn(place, draw);
		return draw;
	},
});
