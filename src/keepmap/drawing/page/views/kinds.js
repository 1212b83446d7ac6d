// What is kept of words, numbers, punctuation and the rest, beside what is kept of all.

view("kinds", "Kinds of token", 6, (run) => run.text !== null && run.maps.length > 0, async (place, run) => {
	const kinds = await numbersOf(run.text.kinds), n = kinds.length, picture = svgPlace("kinds");
	const groups = [...run.text.kind_names.map((name, at) => [name, (token) => kinds[token] === at]), ...run.spans.map(({ name, start, end }) => [`span: ${name}`, (token) => token >= start && token < end]), ["all", () => true]]
		.map(([name, holds]) => ({ name, tokens: upTo(n).filter(holds) })).filter(({ tokens }) => tokens.length);
	// Over what no method protects, so that sinks and window say nothing; NaN where all is protected.
	const rates = [];
	for (const method of run.maps) {
		const map = await decodedMap(method, false), shares = sharesOf(map, map.held);
		rates.push(new Map(groups.map((group) => {
			const free = group.tokens.filter((token) => !isProtected(map, token, n - 1));
			return [group, free.reduce((sum, token) => sum + shares[token], 0) / free.length];
		})));
	}
	place.append(heading("The share of compressible entries that is kept, by kind of token. The line is that of all.", methodChoice(run), picture.buttons), picture.box,
		sortableTable("kinds", "Share kept, by kind and method", groups,
			[col("kind", "name", "words"), col("tokens", (group) => group.tokens.length, "whole"), ...run.maps.map((method, at) => col(method.label, (group) => rates[at].get(group), "share"))]));

	function draw() {
		const rate = rates[chosenMethod(run)], used = groups.slice(0, -1), all = rate.get(groups[used.length]), width = chartWidth(picture.box, 900), left = 130, row = 30, height = used.length * row + 40;
		const most = max(all || 0, ...used.map((group) => rate.get(group) || 0), 1e-9), toX = (share) => left + (share / most) * (width - left - 90), start = { "text-anchor": "start" };
		const svg = svgOf(width, height, `Share kept by kind of token; ${percent(all)} of all`);
		used.forEach((group, at) => {
			const y = 8 + at * row, share = rate.get(group), none = Number.isNaN(share);
			svg.append(label(cut(group.name, 18), left - 10, y + 16, { "text-anchor": "end" }), none ? label("all protected", left + 4, y + 16, { ...start, class: "muted" }) : label(percent(share), toX(share) + 6, y + 16, start),
				none ? "" : el("rect", { x: left, y, width: max(1, toX(share) - left), height: row - 8, fill: ink("kept") }));
		});
		if (!Number.isNaN(all)) svg.append(dashed(toX(all), 0, toX(all), height - 24), label(`all: ${percent(all)}`, toX(all), height - 8));
		picture.show(svg);
	}
	return redrawn(place, draw);
});
