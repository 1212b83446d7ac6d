// The text, coloured by what became of each token. Only the lines in sight are in the document.

const LINE = 26;
const LONGEST = 60;

// Lines of tokens that fit into a width, by the widths of their letters; each line ends where the next begins.
function brokenLines(shownPieces, pieces, width, font) {
	const pen = document.createElement("canvas").getContext("2d"), widths = new Map(), starts = [0];
	pen.font = font;
	let used = 0;
	shownPieces.forEach((text, token) => {
		let wide = widths.get(text);
		if (wide === undefined) widths.set(text, (wide = pen.measureText(text).width + 2));
		if (used + wide > width && used > 0) {
			starts.push(token);
			used = 0;
		}
		used += wide;
		if (pieces[token].includes("\n") && token + 1 < pieces.length) {
			starts.push(token + 1);
			used = 0;
		}
	});
	return starts;
}

view({
	name: "text", title: "Text", order: 2, has: (run) => run.text !== null && run.maps.length > 0,
	async open(place, run) {
		const pieces = await textOf(run), n = pieces.length, display = pieces.map((piece) => visible(piece.length > LONGEST ? shortened(piece, LONGEST) : piece) || "∅");
		let starts = [], map = null, shares = null, scores = null, costs = null, matches = [], matched = new Set(), most = 1, drawn = "", known = "", hovered = null;
		const inner = el("div.lines"), legend = el("div"), count = el("output"), detail = el("aside.detail", { id: "token", "aria-label": "The token" });
		const scroller = el("div.scroller", { tabindex: "0", role: "application", "aria-label": "Text: arrow keys go from token to token", "aria-describedby": "token" }, inner);
		const find = el("input", { type: "search", value: state.find || "", "aria-label": "Search the text", placeholder: "search ( / )", oninput: () => setState({ find: find.value || null }) });
		const colours = [["kept", "share of its entries kept"], ...(run.maps.some((method) => method.nll) ? [["damage", "damage: ΔNLL of predicting it"]] : [])];
		place.append(
			heading(`The first text, ${whole(n)} tokens. What each token's ${run.maps[0].shape[0] * run.maps[0].shape[1]} cache entries came to.`,
				methodChoice(run), stateChoice("Colour", colours, "colour", state.colour || "kept"),
				el("label", "Search ", find), button("Previous", () => jump(-1), { title: "N" }), button("Next", () => jump(1), { title: "n" }), count,
				button("Save as CSV", () => saveCsv(stem(`text-${map.key}`), ["position", "token", "share kept", "ΔNLL"], pieces.map((piece, at) => [at, piece, shares[at], costOf(at)])))),
			legend, el("div.columns", scroller, detail));

		const token = () => stated("token", 0, 0, n - 1), costOf = (at) => (costs && at ? costs[at - 1] : null);

		function lineOf(at) {
			let low = 0, high = starts.length - 1;
			while (low < high) {
				const middle = (low + high + 1) >> 1;
				if (starts[middle] <= at) low = middle;
				else high = middle - 1;
			}
			return low;
		}

		function tokenNode(at) {
			const share = shares[at], damage = costs && state.colour === "damage" ? costOf(at) || 0 : null, isGone = damage === null && share === 0;
			const of = damage === null ? share : min(1, abs(damage) / most), kind = damage === null ? "kept" : damage > 0 ? "worse" : "better";
			const kinds = ["t", kind, isGone && "gone", isProtected(map, at, n - 1) && (at < map.n_sink ? "sink" : "window"), matched.has(at) && "match", at === token() && "now"].filter(Boolean);
			const text = display[at], word = text.trimStart();
			return el("span", { class: kinds.join(" "), "data-at": at, style: { "--of": `var(--${kind})`, "--share": `${round(58 * of)}%` } }, text.slice(0, text.length - word.length), isGone ? el("s", word) : word);
		}

		function draw(force = false) {
			const { scrollTop, clientHeight } = scroller, from = max(0, floor(scrollTop / LINE) - 10), until = min(starts.length, ceil((scrollTop + clientHeight) / LINE) + 10), name = `${from} ${until}`;
			if (!force && name === drawn) return;
			drawn = name;
			inner.replaceChildren(...starts.slice(from, until).map((start, at) => {
				const row = el("div.line", { style: { top: `${(from + at) * LINE}px` } }, el("span.at", { "aria-hidden": "true" }, String(start)));
				for (let of = start; of < (starts[from + at + 1] ?? n); of++) row.append(tokenNode(of));
				return row;
			}));
		}

		function flow() {
			const style = getComputedStyle(scroller), width = scroller.clientWidth - 64;
			if (width < 50) return;
			starts = brokenLines(display, pieces, width, `${style.fontSize} ${style.fontFamily}`);
			inner.style.setProperty("height", `${starts.length * LINE + 8}px`);
			reveal(token());
			draw(true);
		}

		function reveal(at) {
			const top = lineOf(at) * LINE;
			if (top < scroller.scrollTop || top + LINE > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top - scroller.clientHeight / 2;
		}

		function search() {
			const words = (state.find || "").toLowerCase();
			matches = [];
			if (words) {
				const ends = new Uint32Array(n), all = pieces.join("").toLowerCase();
				let end = 0;
				pieces.forEach((piece, at) => { ends[at] = end += piece.length; });
				for (let at = all.indexOf(words), now = 0; at >= 0 && matches.length < 100000; at = all.indexOf(words, at + words.length)) {
					while (ends[now] <= at) now++;
					for (let of = now; of < n && ends[of] - pieces[of].length < at + words.length; of++) if (matches[matches.length - 1] !== of) matches.push(of);
				}
			}
			matched = new Set(matches);
			count.textContent = words ? `${whole(matches.length)} tokens` : "";
		}

		function jump(by) {
			if (!matches.length) return;
			const now = token();
			setState({ token: by > 0 ? matches.find((at) => at > now) ?? matches[0] : matches.findLast((at) => at < now) ?? matches[matches.length - 1] });
		}

		function tell(at = token()) {
			const cost = costOf(at), rows = upTo(map.rows).map((row) => {
				const index = row * n + at, score = scores && scores[index];
				return { row, kept: map.held[index], score, rank: scores && scores.subarray(row * n, (row + 1) * n).reduce((above, other) => above + (other > score), 1), why: reason(map, at, index) };
			});
			const columns = [
				col("layer", ({ row }) => floor(row / map.heads)), col("head", ({ row }) => row % map.heads), col("", "kept", (value) => swatch(value ? "kept" : "evicted", { role: "img", "aria-label": value ? "kept" : "evicted" }), "kept or not"),
				...(scores ? [col("score", "score", rounded), col("rank", "rank", "whole", "of all positions of the head, by score")] : []), col("why", "why", "words"),
			];
			detail.replaceChildren(
				el("h3", `Token ${whole(at)}${spansAt(run, at)}`), el("p.piece", quoted(pieces[at], 2000)),
				el("p", `${percent(shares[at], 0)} of its ${map.rows} entries kept by ${map.label}`),
				cost === null ? "" : el("p", `Predicting it costs ${signed(cost, 2)} nats against the full cache`),
				sortableTable({ name: `token-${at}`, caption: "Layer by layer", columns, rows }));
			if (at === token()) say(`token ${at}, ${quoted(pieces[at])}, ${percent(shares[at], 0)} kept`);
		}
		async function update() {
			const method = methodOf(run);
			if (map === null || map.key !== method.key) {
				map = await mapOf(run, method);
				shares = sharesOf(map, map.held);
				[scores, costs] = await Promise.all([scoresOf(method), method.nll ? floatsOf(method.nll) : null]);
				most = costs ? [...costs].map(abs).sort((a, b) => a - b)[floor(0.98 * (costs.length - 1))] || 1 : 1;
			}
			legend.replaceChildren(state.colour === "damage" && costs
				? key(["better", "predicted better than with the full cache"], ["worse", `worse, by ${number(most, 2)} nats or more`], ["now", "the token"])
				: key(["evicted", "all evicted"], ["half", "half kept"], ["kept", "all kept"], ["sink", "sink"], ["window", "window"]));
			if (known !== (state.find || "")) search();
			known = state.find || "";
			reveal(token());
			draw(true);
			tell();
		}

		on(scroller, "scroll", () => requestAnimationFrame(() => draw()));
		const tokenUnder = (event) => event.target.closest("[data-at]");
		on(inner, "click", (event) => tokenUnder(event) && setState({ token: tokenUnder(event).dataset.at }));
		const hover = (at) => { if (at !== hovered) tell(Number(hovered = at)); };
		on(inner, "mouseover", (event) => tokenUnder(event) && hover(tokenUnder(event).dataset.at));
		on(inner, "mouseleave", () => { hovered = null; tell(); });
		const go = (to) => () => setState({ token: clamped(to, 0, n - 1) });
		onKeys(scroller, () => {
			const at = token(), line = lineOf(at), column = at - starts[line], page = max(1, floor(scroller.clientHeight / LINE) - 1);
			const down = (by) => { const to = clamped(line + by, 0, starts.length - 1); return go(min(starts[to] + column, (starts[to + 1] ?? n) - 1)); };
			return { ArrowRight: go(at + 1), ArrowLeft: go(at - 1), ArrowDown: down(1), ArrowUp: down(-1), PageDown: down(page), PageUp: down(-page), Home: go(0), End: go(n - 1) };
		});
		onKeys(place, ({ target, shiftKey }) => (target === find ? { Enter: () => jump(shiftKey ? -1 : 1) } : { "/": () => find.focus(), n: () => jump(1), N: () => jump(-1) }));
		await update();
		redrawn(scroller, flow);
		flow();
		return update;
	},
});
