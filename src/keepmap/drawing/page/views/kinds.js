// What is kept of words, numbers, punctuation and the rest, beside what is kept of all.

view({
	name: "kinds", title: "Kinds of token", order: 6, has: (run) => run.text !== null && run.maps.length > 0,
	async open(place, run) {
		const kinds = await numbersOf(run.text.kinds), n = kinds.length, box = el("div"), note = el("p", { class: "about" });
		const maps = await Promise.all(run.maps.map((method) => mapOf(run, method))), groups = [];
		run.text.kind_names.forEach((name, at) => groups.push({ name, holds: (token) => kinds[token] === at }));
		run.spans.forEach((span) => groups.push({ name: `span: ${visible(span.name)}`, holds: (token) => token >= span.start && token < span.end }));
		// Over what no method protects, so that sinks and window say nothing.
		const rates = maps.map((map) => {
			const shares = sharesOf(map, map.held), sums = groups.map(() => [0, 0]), all = [0, 0];
			for (let token = 0; token < n; token++) {
				if (isProtected(map, token, n - 1)) continue;
				groups.forEach((group, at) => { if (group.holds(token)) { sums[at][0] += shares[token]; sums[at][1]++; } });
				all[0] += shares[token];
				all[1]++;
			}
			return { all: all[0] / all[1], of: sums.map(([kept, tokens]) => (tokens ? kept / tokens : NaN)) };
		});
		const used = groups.map((group, at) => ({ ...group, at, tokens: countOf(group) })).filter((group) => group.tokens > 0);
		function countOf(group) {
			let count = 0;
			for (let token = 0; token < n; token++) count += group.holds(token) ? 1 : 0;
			return count;
		}
		const chosen = () => Math.max(0, run.maps.findIndex((method) => method.key === state.method));
		let svg = null;
		place.append(heading("Kinds of token", "The share of compressible entries that is kept, by what kind of text a token is. The line is that of all tokens.",
			methodChoice(run),
			svgButton(run, "kinds", () => svg)), box, note,
		sortableTable({ name: stem(run, "kinds"), caption: "Share kept, by kind and method", rows: [...used, { name: "all", tokens: n, at: -1 }],
			columns: [col("kind", (group) => group.name, "words"), col("tokens", (group) => group.tokens, "whole"),
				...run.maps.map((method, at) => col(visible(method.label), (group) => (group.at < 0 ? rates[at].all : rates[at].of[group.at]), "share"))] }));

		function draw() {
			const rate = rates[chosen()], width = Math.max(320, Math.min(900, box.clientWidth || 800)), left = 130, row = 30, height = used.length * row + 40;
			const most = Math.max(rate.all, ...used.map((group) => rate.of[group.at] || 0), 1e-9), toX = (share) => left + (share / most) * (width - left - 90);
			svg = el("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Share kept by kind of token; ${percent(rate.all)} of all` });
			used.forEach((group, at) => {
				const y = 8 + at * row, share = rate.of[group.at];
				svg.append(el("text", { x: left - 10, y: y + 16, "text-anchor": "end" }, shortened(group.name, 18)));
				if (Number.isNaN(share)) return svg.append(el("text", { class: "muted", x: left + 4, y: y + 16 }, "all protected"));
				svg.append(el("rect", { x: left, y, width: Math.max(1, toX(share) - left), height: row - 8, fill: css(colour("kept")) }),
					el("text", { x: toX(share) + 6, y: y + 16 }, `${percent(share)}`));
				return undefined;
			});
			svg.append(el("line", { x1: toX(rate.all), x2: toX(rate.all), y1: 0, y2: height - 24, stroke: css(colour("text")), "stroke-width": 1.5, "stroke-dasharray": "4 3" }),
				el("text", { x: toX(rate.all), y: height - 8, "text-anchor": "middle" }, `all: ${percent(rate.all)}`));
			box.replaceChildren(svg);
		}
		draw();
		redrawn(place, draw);
		return draw;
	},
});
