// The text, a token after the other, coloured by what became of it. Only the lines in sight are in the document.

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
		const pieces = await textOf(run), n = pieces.length;
		const display = pieces.map((piece) => visible(piece.length > LONGEST ? shortened(piece, LONGEST) : piece) || "∅");
		let starts = [], map = null, shares = null, scores = null, costs = null, matches = [], most = 1, drawn = "";
		const inner = el("div", { class: "lines" });
		const scroller = el("div", { class: "scroller", tabindex: "0", role: "application", "aria-label": "Text: arrow keys go from token to token", "aria-describedby": "token" }, inner);
		const detail = el("aside", { class: "detail", id: "token", "aria-label": "The token" });
		const legend = el("div");
		const find = el("input", { type: "search", value: state.find || "", "aria-label": "Search the text", placeholder: "search ( / )", oninput: () => setState({ find: find.value || null }) });
		const found = el("output");
		const colours = [["kept", "share of its entries kept"]];
		if (run.maps.some((method) => method.nll)) colours.push(["damage", "damage: ΔNLL of predicting it"]);
		place.append(
			heading("Text", `The first text, ${whole(n)} tokens. What each token's ${run.maps[0].shape[0] * run.maps[0].shape[1]} cache entries came to.`,
				methodChoice(run),
				stateChoice("Colour", colours, "colour", state.colour || "kept"),
				el("label", {}, "Search ", find), button("Previous", () => jump(-1), { title: "N" }), button("Next", () => jump(1), { title: "n" }), found,
				button("Save as CSV", saveTokens)),
			legend, el("div", { class: "columns" }, scroller, detail));

		const token = () => stated("token", 0, 0, n - 1);

		function saveTokens() {
			saveCsv(stem(run, `text-${map.key}`), ["position", "token", "share kept", "ΔNLL"],
				pieces.map((piece, at) => [at, piece, shares[at], costs && at ? costs[at - 1] : null]));
		}

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
			const share = shares[at], free = isProtected(map, at, n - 1);
			const damage = costs && state.colour === "damage" ? (at ? costs[at - 1] : 0) : null;
			const of = damage === null ? share : Math.min(1, Math.abs(damage) / most);
			const kinds = ["t", damage === null ? "kept" : damage > 0 ? "worse" : "better", `s${Math.round(of * 10)}`];
			if (damage === null && share === 0) kinds.push("gone");
			if (free) kinds.push(at < map.n_sink ? "sink" : "window");
			if (matches.length && isMatch(at)) kinds.push("match");
			if (at === token()) kinds.push("now");
			const text = display[at], word = text.trimStart();
			const node = el("span", { class: kinds.join(" "), "data-at": at }, text.slice(0, text.length - word.length));
			node.append(damage === null && share === 0 ? el("s", {}, word) : word);
			return node;
		}

		function isMatch(at) {
			let low = 0, high = matches.length;
			while (low < high) {
				const middle = (low + high) >> 1;
				if (matches[middle] < at) low = middle + 1;
				else high = middle;
			}
			return matches[low] === at;
		}

		function draw(force = false) {
			const from = Math.max(0, Math.floor(scroller.scrollTop / LINE) - 10);
			const until = Math.min(starts.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / LINE) + 10);
			const name = `${from} ${until}`;
			if (!force && name === drawn) return;
			drawn = name;
			const lines = [];
			for (let line = from; line < until; line++) {
				const row = el("div", { class: "line", style: { top: `${line * LINE}px` } });
				row.append(el("span", { class: "at", "aria-hidden": "true" }, String(starts[line])));
				for (let at = starts[line]; at < (starts[line + 1] ?? n); at++) row.append(tokenNode(at));
				lines.push(row);
			}
			inner.replaceChildren(...lines);
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
			found.textContent = words ? `${whole(matches.length)} tokens` : "";
		}

		function jump(by) {
			if (!matches.length) return;
			const now = token(), next = by > 0 ? matches.find((at) => at > now) ?? matches[0] : matches.findLast((at) => at < now) ?? matches[matches.length - 1];
			setState({ token: next });
		}

		function tell(at = token()) {
			const rows = [];
			for (let row = 0; row < map.rows; row++) {
				const index = row * n + at;
				let rank = null;
				if (scores) {
					rank = 1;
					for (let other = row * n; other < (row + 1) * n; other++) if (scores[other] > scores[index]) rank++;
				}
				const score = scores ? scores[index] : null;
				rows.push({ row, kept: map.held[index], score, rank, gone: map.held[index] ? null : map.expires ? map.expires[index] - 1 : null, why: reason(map, at, index, score) });
			}
			const cost = costs && at ? costs[at - 1] : null;
			const columns = [
				col("layer", (row) => Math.floor(row.row / map.heads)), col("head", (row) => row.row % map.heads),
				col("", (row) => row.kept, (value) => el("span", { class: `swatch ${value ? "kept" : "evicted"}`, role: "img", "aria-label": value ? "kept" : "evicted" }), "kept or not"),
				...(scores ? [col("score", (row) => row.score, rounded), col("rank", (row) => row.rank, "whole", "of all positions of the head, by score")] : []),
				col("why", (row) => row.why, "words"),
			];
			detail.replaceChildren(
				el("h3", {}, `Token ${whole(at)}${spansAt(run, at)}`), el("p", { class: "piece" }, quoted(pieces[at], 2000)),
				el("p", {}, `${percent(shares[at], 0)} of its ${map.rows} entries kept by ${visible(map.label)}`),
				cost === null ? null : el("p", {}, `Predicting it costs ${signed(cost, 2)} nats against the full cache`),
				sortableTable({ name: stem(run, `token-${at}`), caption: "Layer by layer", columns, rows }));
			if (at === token()) say(`token ${at}, ${quoted(pieces[at])}, ${percent(shares[at], 0)} kept`);
		}

		let known = "";
		async function update() {
			const method = methodOf(run, "method") || run.maps[0];
			if (map === null || map.key !== method.key) {
				map = await mapOf(run, method);
				shares = sharesOf(map, map.held);
				[scores, costs] = await Promise.all([scoresOf(method), method.nll ? floatsOf(method.nll) : null]);
				most = costs ? [...costs].map(Math.abs).sort((a, b) => a - b)[Math.floor(0.98 * (costs.length - 1))] || 1 : 1;
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

		scroller.addEventListener("scroll", () => requestAnimationFrame(() => draw()));
		const tokenUnder = (event) => event.target.closest("[data-at]");
		inner.addEventListener("click", (event) => tokenUnder(event) && setState({ token: tokenUnder(event).dataset.at }));
		let hovered = null;
		const hover = (at) => { if (at !== hovered) tell(Number(hovered = at)); };
		inner.addEventListener("mouseover", (event) => tokenUnder(event) && hover(tokenUnder(event).dataset.at));
		inner.addEventListener("mouseleave", () => { hovered = null; tell(); });
		scroller.addEventListener("keydown", (event) => {
			const at = token(), line = lineOf(at), column = at - starts[line];
			const down = (by) => { const to = Math.max(0, Math.min(starts.length - 1, line + by)); return Math.min(starts[to] + column, (starts[to + 1] ?? n) - 1); };
			const page = Math.max(1, Math.floor(scroller.clientHeight / LINE) - 1);
			const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: down(1), ArrowUp: down(-1), PageDown: down(page), PageUp: down(-page), Home: 0, End: n - 1 }[event.key];
			if (to === undefined) return;
			event.preventDefault();
			setState({ token: Math.max(0, Math.min(n - 1, to)) });
		});
		place.addEventListener("keydown", (event) => {
			if (event.target === find) return event.key === "Enter" && jump(event.shiftKey ? -1 : 1);
			if (event.key === "/") find.focus();
			else if (event.key === "n") jump(1);
			else if (event.key === "N") jump(-1);
			else return undefined;
			return event.preventDefault();
		});
		await update();
		redrawn(scroller, flow);
		flow();
		return update;
	},
});
