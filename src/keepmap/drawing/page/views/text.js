// The text, coloured by what became of each token; only lines in sight are in the document.

const LINE = 26;
const LONGEST = 60;
const PRINTED = 4000;

// The first tokens of lines that fit into a width.
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

// Texts are searched as bytes, a letter each: letters of several tokens stand in these as bytes (\xf0\x9f).
const latin = (bytes) => new TextDecoder("latin1").decode(bytes), inBytes = (text) => latin(new TextEncoder().encode(text));

function searched(pieces) {
	const owners = [], all = pieces.map((piece, token) => {
		const own = /^(\\x[0-9a-f]{2})+$/.test(piece) ? latin(Uint8Array.from(piece.match(/[0-9a-f]{2}/g), (two) => parseInt(two, 16))) : inBytes(piece.toLowerCase());
		for (let at = 0; at < own.length; at++) owners.push(token);
		return own;
	});
	return { all: all.join(""), owners };
}

view("text", "Text", 2, (run) => run.text !== null && run.maps.length > 0, async (place, run) => {
	const pieces = await textOf(run), n = pieces.length, display = pieces.map((piece) => visible(piece.length > LONGEST ? shortened(piece, LONGEST) : piece) || "∅");
	let starts = [], map = null, shares = null, scores = null, costs = null, letters = null, matches = [], matched = new Set(), most = 1, drawn = "", known = "", hovered = null;
	const inner = el("div.lines"), legend = el("ul.key"), count = el("output"), detail = el("aside.detail", { id: "token", "aria-label": "The token" });
	const scroller = el("div.scroller", { tabindex: "0", role: "application", "aria-label": "Text: arrow keys go from token to token", "aria-describedby": "token" }, inner);
	const find = el("input", { type: "search", value: state.find || "", "aria-label": "Search the text", placeholder: "search ( / )", oninput: () => setState({ find: find.value || null }) });
	const colours = [["kept", "share of its entries kept"], ...(run.maps.some((method) => method.nll) ? [["damage", "damage: ΔNLL of predicting it"]] : [])];
	place.append(
		heading(`The first text, ${whole(n)} tokens. What each token's ${run.maps[0].shape[0] * run.maps[0].shape[1]} cache entries came to.`,
			methodChoice(run), stateChoice("Colour", colours, "colour"),
			el("label", "Search ", find), button("Previous", () => jump(-1), { title: "N" }), button("Next", () => jump(1), { title: "n" }), count,
			button("Save as CSV", () => saveCsv("text", ["position", "token", "share kept", "ΔNLL"], pieces.map((piece, at) => [at, piece, shares[at], costOf(at)])))),
		legend, el("div.columns", scroller, detail));

	const token = () => stated("token", 0, 0, n - 1), costOf = (at) => (costs && at ? costs[at - 1] : null), damaging = () => costs && state.colour === "damage";

	const lineOf = (at) => starts.findLastIndex((start) => start <= at);

	// A token in the colour of its share, and so a sign of the legend.
	function painted(kind, of, text, kinds, at) {
		const isGone = kind === "kept" && of === 0, word = text.trimStart();
		return el("span", { class: ["t", kind, isGone && "gone", ...kinds].filter(Boolean).join(" "), "data-at": at, style: { "--of": `var(--${kind})`, "--share": `${round(58 * of)}%` } }, text.slice(0, text.length - word.length), isGone ? el("s", word) : word);
	}
	const sign = (words, kind, of, ...kinds) => el("li", painted(kind, of, "token", kinds), words);

	function tokenNode(at) {
		const damage = damaging() ? costOf(at) || 0 : null, kinds = [isProtected(map, at, n - 1) && (at < map.n_sink ? "sink" : "window"), matched.has(at) && "match", at === token() && "now"];
		return damage === null ? painted("kept", shares[at], display[at], kinds, at) : painted(damage > 0 ? "worse" : "better", min(1, abs(damage) / most), display[at], kinds, at);
	}

	function draw(force = false) {
		const { scrollTop, clientHeight } = scroller, all = matchMedia("print").matches, from = all ? 0 : max(0, floor(scrollTop / LINE) - 10), until = min(starts.length, all ? PRINTED : ceil((scrollTop + clientHeight) / LINE) + 10), name = `${from} ${until}`;
		if (!force && name === drawn) return;
		drawn = name;
		inner.replaceChildren(...starts.slice(from, until).map((start, at) => {
			const row = el("div.line", { style: { top: `${(from + at) * LINE}px` } }, el("span.at", { "aria-hidden": "true" }, String(start)));
			for (let of = start; of < (starts[from + at + 1] ?? n); of++) row.append(tokenNode(of));
			return row;
		}), all && until < starts.length ? `The first ${whole(until)} of ${whole(starts.length)} lines.` : "");
	}

	function flow() {
		const style = getComputedStyle(scroller), width = scroller.clientWidth - 64;
		if (width < 50) return;
		starts = brokenLines(display, pieces, width, `${style.fontSize} ${style.fontFamily}`);
		inner.style.height = `${starts.length * LINE + 8}px`;
		reveal(token());
		draw(true);
	}

	function reveal(at) {
		const top = lineOf(at) * LINE;
		if (top < scroller.scrollTop || top + LINE > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top - scroller.clientHeight / 2;
	}

	function search() {
		// What stands in bytes keeps its case: words are looked for in small letters, and with only a to z small.
		const find = state.find || "", { all, owners } = find ? (letters ||= searched(pieces)) : {}, hits = new Set();
		matched = new Set();
		for (const words of find ? [find.toLowerCase(), find.replace(/[A-Z]/g, (one) => one.toLowerCase())].map(inBytes) : []) {
			for (let at = all.indexOf(words); at >= 0 && hits.size < 100000; at = all.indexOf(words, at + words.length)) {
				hits.add(at);
				for (let token = owners[at]; token <= owners[at + words.length - 1]; token++) matched.add(token);
			}
		}
		matches = [...hits].sort((a, b) => a - b).map((at) => owners[at]);
		count.textContent = find && `${whole(hits.size)} hit${hits.size === 1 ? "" : "s"}`;
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
			...headColumns(map.heads, ({ row }) => row), col("", "kept", (value) => swatch(value ? "kept" : "evicted", { role: "img", "aria-label": value ? "kept" : "evicted" }), "kept or not"),
			...(scores ? [col("score", "score", rounded), col("rank", "rank", "whole", "of all positions of the head, by score")] : []), col("why", "why", "words"),
		];
		detail.replaceChildren(
			el("h3", `Token ${whole(at)}${spansAt(run, at)}`), el("p.piece", quoted(pieces[at], 2000)),
			el("p", `${percent(shares[at], 0)} of its ${map.rows} entries kept by ${map.label}`),
			cost === null ? "" : el("p", `Predicting it costs ${signed(cost, 2)} nats against the full cache`),
			sortableTable(`token-${at}`, "Layer by layer", rows, columns));
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
		legend.replaceChildren(...(damaging()
			? [sign(`predicted better than with the full cache, by ${number(most, 2)} nats or more`, "better", 1), sign("as well", "better", 0), sign("worse, by as much", "worse", 1)]
			: [sign("all evicted", "kept", 0), sign("half kept", "kept", 0.5), sign("all kept", "kept", 1)]), sign("sink", "kept", 0.5, "sink"), sign("window", "kept", 0.5, "window"));
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
	onKeys(find, ({ shiftKey }) => ({ Enter: () => jump(shiftKey ? -1 : 1) }));
	viewKeys(() => ({ "/": () => find.focus(), n: () => jump(1), N: () => jump(-1) }));
	await update();
	redrawn(scroller, flow);
	return update;
});
