// What the model said with a smaller cache and with the full one, the first difference marked.

view("generations", "Generations", 10, (run) => run.generation !== undefined, (place, run) => {
	const { label, answer, full, divergence, moments, redacted } = run.generation, texts = full ? [answer.text, full.text] : [answer.text];
	const said = (title, { text, n }, other) => el("section.card", { "aria-label": title }, el("h3", `${title}: ${whole(n)} tokens`),
		el("p.said", { tabindex: "0" }, other && !redacted && divergence !== null ? partedText(text, other.text, shownLines) : shownLines(text)));
	const picture = svgPlace("bytes");
	place.append(heading(!full ? "What the model said; with `compare`, the full cache's answer is beside it."
		: divergence === null ? "Both caches give the same tokens." : `The first difference, at ▶, is new token ${whole(divergence)}, from 0 on.`,
	button("Copy both", () => copy(texts.join("\n\n---\n\n"), "The answers")), picture.buttons),
	el("div.cards", said(label, answer, full), full ? said("the full cache", full, answer) : null),
	next("Bytes of the cache after each pass"), curveKey([label, "the full cache"]), picture.box,
	numbers(() => ["bytes", "After each pass of the model", moments,
		[col("tokens seen", 0, "whole"), col("bytes held", 1, "whole"), col("bytes of the full cache", 2, "whole")]]));
	function draw() {
		if (!moments.length) return picture.show("No pass was recorded.");
		const seen = moments.map(([tokens]) => tokens), most = max(...moments.flatMap(([, held, whole]) => [held, whole])), [unit, by] = most > 2 ** 22 ? ["MiB", 2 ** 20] : ["KiB", 2 ** 10];
		const drawn = chart(chartWidth(picture.box, 1100), 260, { min: seen[0], max: max(seen[0] + 1, seen[seen.length - 1]), title: "tokens seen", show: "whole" },
			{ min: 0, max: (most / by) * 1.05, title: `cache (${unit})`, show: String }, "Bytes of both caches, pass by pass");
		for (const at of [0, 1]) drawCurve(drawn, at, moments.map((moment) => [moment[0], moment[at + 1] / by]));
		return picture.show(drawn.svg);
	}
	return redrawn(place, draw);
});
