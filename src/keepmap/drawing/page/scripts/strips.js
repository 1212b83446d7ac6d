// A picture of entries: a row per layer and KV head, positions across. A column of several positions is their mixture,
// with a tick below it in the colour of what must not be lost from sight.

const LEFT = 64, TOP = 20, BOTTOM = 40;

// of: {rows, heads, n, from, until, classes, colours, ticks, n_sink, windowStart, step, spans, cursor: {row, at}}
// classes is a number per entry, colours their colours; ticks lists classes, the first that a column holds is its tick.
function drawStrips(canvas, of) {
	const ratio = devicePixelRatio, cssWidth = canvas.clientWidth || 600;
	const row = clamped(floor(480 / of.rows), 4, 22), above = TOP + (of.spans.length ? 20 : 0), height = above + row * of.rows + BOTTOM;
	canvas.style.height = `${height}px`;
	canvas.width = round(cssWidth * ratio);
	canvas.height = round(height * ratio);
	const pen = canvas.getContext("2d"), width = max(1, canvas.width - round((LEFT + 8) * ratio));
	const place = { left: round(LEFT * ratio), top: round(above * ratio), width, row: round(row * ratio), ratio };
	pen.fillStyle = ink("back");
	pen.fillRect(0, 0, canvas.width, canvas.height);
	pen.putImageData(entryPixels(of, place), place.left, place.top);
	drawAxes(pen, of, place, canvas);
	drawLetters(pen, of, place);
	Object.assign(canvas.dataset, place);
	return place;
}

function entryPixels(of, { width, row: high, ratio }) {
	const { classes } = of, span = of.until - of.from, several = span > width, gap = high >= 6 ? max(1, round(ratio)) : 0, tick = several ? max(1, round(high / 5)) : 0;
	const image = new ImageData(width, high * of.rows), pixels = new Uint32Array(image.data.buffer), back = pixel(colour("back")), paints = of.colours.map(pixel);
	const counts = new Int32Array(paints.length), line = new Uint32Array(width), ticks = new Uint32Array(width);
	for (let row = 0; row < of.rows; row++) {
		const base = row * of.n + of.from;
		for (let x = 0; x < width; x++) {
			const first = base + floor((x * span) / width), last = max(first + 1, base + floor(((x + 1) * span) / width));
			let red = 0.5, green = 0.5, blue = 0.5;
			counts.fill(0);
			for (let at = first; at < last; at++) counts[classes[at]]++;
			of.colours.forEach((paint, kind) => {
				const share = counts[kind] / (last - first);
				red += share * paint[0];
				green += share * paint[1];
				blue += share * paint[2];
			});
			line[x] = pixel([red, green, blue]);
			const kind = of.ticks.find((candidate) => counts[candidate] > 0);
			ticks[x] = kind === undefined ? line[x] : paints[kind];
		}
		for (let y = 0, to = row * high * width; y < high; y++, to += width) {
			if (y >= high - gap) pixels.fill(back, to, to + width);
			else pixels.set(several && y >= high - gap - tick ? ticks : line, to);
		}
	}
	return image;
}

const pixel = ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red;

function drawAxes(pen, of, place, canvas) {
	const { left, top, width, row, ratio } = place, span = of.until - of.from, bottom = top + row * of.rows, high = of.heads * row;
	const x = (position) => left + ((position - of.from) / span) * width;
	Object.assign(pen, { font: `${11 * ratio}px system-ui, sans-serif`, fillStyle: ink("muted"), strokeStyle: ink("line"), lineWidth: ratio, textBaseline: "middle", textAlign: "right" });
	const each = max(1, ceil((14 * ratio) / high));
	for (let layer = 0; layer * of.heads < of.rows; layer++) {
		const y = top + layer * high;
		if (layer % each === 0) pen.fillText(layer === 0 ? "layer 0" : String(layer), left - 8 * ratio, y + min(high, 16 * ratio) / 2);
		if (layer) line(pen, left - 4 * ratio, y - 0.5 * ratio, left, y - 0.5 * ratio);
	}
	Object.assign(pen, { textAlign: "center", textBaseline: "top" });
	for (const position of roundNumbers(of.from, of.until - 1, max(2, width / (90 * ratio)), 1)) {
		line(pen, x(position), bottom, x(position), bottom + 4 * ratio);
		pen.fillText(whole(position), clamped(x(position), left, canvas.width - 24 * ratio), bottom + 6 * ratio);
	}
	pen.fillText("position in the text", left + width / 2, bottom + 22 * ratio);
	const zone = (from, until, name, slant) => band(pen, x(max(of.from, from)), x(min(of.until, until)), place, name, slant);
	if (of.n_sink > of.from) zone(0, of.n_sink, "sink", 1);
	const start = of.windowStart;
	if (start <= of.step && start < of.until && of.step + 1 > of.from) zone(max(0, start), of.step + 1, "window", -1);
	const names = spanNames(of);
	for (const { name, start: first, end } of of.spans) {
		if (end <= of.from || first >= of.until) continue;
		const from = max(left, x(first)), until = clamped(x(end), from + 2 * ratio, left + width), paint = colour(`curve-${names.indexOf(name) % 7}`), wide = until - from;
		pen.fillStyle = css(mixed(paint, colour("back"), 0.72));
		pen.fillRect(from, 0, wide, 17 * ratio);
		pen.fillStyle = css(paint);
		pen.fillRect(from, 15 * ratio, wide, 3 * ratio);
		Object.assign(pen, { fillStyle: ink("text"), textBaseline: "middle" });
		if (wide > 26 * ratio) pen.fillText(cut(name, 40), from + wide / 2, 8 * ratio, wide - 4 * ratio);
	}
	pen.setLineDash([4 * ratio, 3 * ratio]);
	for (const [position, name] of [[of.n_sink, "sink"], [start, "window"]]) {
		if (position <= of.from || position >= of.until) continue;
		pen.strokeStyle = ink(name);
		line(pen, x(position), top - 4 * ratio, x(position), bottom);
	}
	pen.setLineDash([]);
	const { row: at, at: token } = of.cursor;
	if (token >= of.from && token < of.until) {
		const wide = max(6 * ratio, width / span);
		Object.assign(pen, { strokeStyle: ink("text"), lineWidth: 2 * ratio });
		pen.strokeRect(x(token + 0.5) - wide / 2, top + at * row - ratio, wide, row + ratio);
	}
}

function drawLetters(pen, { letters, colours, classes, from, until, rows, n }, { left, top, width, row, ratio }) {
	const wide = width / (until - from);
	if (!letters || wide < 9 * ratio || row < 10 * ratio) return;
	Object.assign(pen, { textAlign: "center", textBaseline: "middle" });
	for (let at = from; at < until; at++) for (let across = 0; across < rows; across++) {
		const kind = classes[across * n + at], [red, green, blue] = colours[kind];
		pen.fillStyle = 3 * red + 6 * green + blue > 1300 ? "#000" : "#fff";
		pen.fillText(letters[kind], left + (at - from + 0.5) * wide, top + (across + 0.45) * row);
	}
}

function line(pen, fromX, fromY, toX, toY) {
	pen.beginPath();
	pen.moveTo(fromX, fromY);
	pen.lineTo(toX, toY);
	pen.stroke();
}

// A hatched band above the picture: what is protected.
function band(pen, from, until, { ratio, top: below }, name, slant) {
	const high = 8 * ratio, top = below - high - 2 * ratio, wide = max(2 * ratio, until - from), [first, last] = slant > 0 ? [top + high, top] : [top, top + high];
	pen.save();
	pen.beginPath();
	pen.rect(from, top, wide, high);
	pen.clip();
	Object.assign(pen, { strokeStyle: ink(name), lineWidth: 2 * ratio });
	for (let x = from - high; x < from + wide + high; x += 5 * ratio) line(pen, x, first, x + high, last);
	pen.restore();
}

// Which part of the text is in sight, moved by wheel, drag, keys and buttons.
function stripWindow(canvas, n, rows, slider) {
	const least = min(n, 16);
	const range = () => {
		const from = stated("from", 0, 0, n - least);
		return [from, stated("to", n, from + least, n)];
	};
	const placed = (from, span) => {
		const start = clamped(round(from), 0, n - span);
		return span >= n ? { from: null, to: null } : { from: start, to: start + span };
	};
	const show = (from, until) => setState(placed(from, clamped(round(until - from), least, n)));
	const zoom = (by, around) => {
		const [from, until] = range(), start = around - (around - from) * by;
		show(start, start + (until - from) * by);
	};
	const cell = (event) => {
		const box = canvas.getBoundingClientRect(), { left, top, width, row, ratio } = canvas.dataset, [from, until] = range();
		const x = ((event.clientX - box.left) * ratio - left) / width, y = floor(((event.clientY - box.top) * ratio - top) / row);
		return x < 0 || x >= 1 || y < 0 || y >= rows ? null : { row: y, at: floor(from + x * (until - from)) };
	};
	const cursor = () => ({ row: stated("row", 0, 0, rows - 1), at: stated("token", 0, 0, n - 1) });
	const go = (row, at) => {
		const [from, until] = range(), token = clamped(at, 0, n - 1), span = until - from;
		setState({ row: clamped(row, 0, rows - 1), token, ...(token < from || token >= until ? placed(token - span / 2, span) : {}) });
	};
	on(canvas, "wheel", (event) => {
		const under = cell(event);
		if (under === null || !(event.ctrlKey || document.activeElement === canvas)) return;
		event.preventDefault();
		zoom(event.deltaY > 0 ? 1.25 : 0.8, under.at);
	}, { passive: false });
	let grip = null;
	on(canvas, "pointerdown", (event) => {
		const under = cell(event);
		grip = under && { x: event.clientX, range: range(), moved: false };
		if (under) canvas.setPointerCapture(event.pointerId);
	});
	on(canvas, "pointermove", (event) => {
		if (!grip || (abs(event.clientX - grip.x) < 4 && !grip.moved)) return;
		grip.moved = true;
		const [from, until] = grip.range, by = ((event.clientX - grip.x) * canvas.dataset.ratio / canvas.dataset.width) * (until - from);
		show(from - by, until - by);
	});
	on(canvas, "pointerup", (event) => {
		const under = cell(event), click = grip && !grip.moved;
		grip = null;
		if (click && under) go(under.row, under.at);
	});
	const nearer = () => zoom(0.5, cursor().at), all = () => show(0, n);
	cellKeys(canvas, () => [cursor().row, cursor().at], go, n, () => max(1, round((range()[1] - range()[0]) / 10)));
	viewKeys(() => ({ "+": nearer, "=": nearer, "-": () => zoom(2, cursor().at), 0: all, "[": () => slider.by(-1), "]": () => slider.by(1), "{": () => slider.by(-10), "}": () => slider.by(10) }));
	const buttons = [button("Nearer", nearer, { title: "+" }), button("Farther", () => zoom(2, (range()[0] + range()[1]) / 2), { title: "−" }), button("Everything", all, { title: "0" })];
	return { range, cursor, cell, buttons };
}

// What pictures of entries have in common; `words` says what is known of an entry.
function entryPicture(run, pieces, usable, words, draw) {
	const [layers, heads, n] = run.maps[0].shape, rows = layers * heads, slider = stepSlider(n, usable), readout = readoutLine();
	const canvas = el("canvas", { tabindex: "0", role: "img" }), part = stripWindow(canvas, n, rows, slider), legend = el("div"), facts = el("ul.facts");
	const tell = ({ row, at } = part.cursor()) => {
		readout.textContent = `layer ${floor(row / heads)}, KV head ${row % heads}, position ${whole(at)}${pieces ? ` ${quoted(pieces[at], 60)}` : ""}${spansAt(run, at)}: ${words(row * n + at, at)}`;
	};
	let waiting = false, ready = false;
	const redraw = () => {
		waiting = false;
		if (ready && canvas.isConnected) draw(part.range());
	};
	on(canvas, "pointermove", (event) => {
		const under = part.cell(event);
		if (ready && under && !event.buttons) tell(under);
	});
	redrawn(canvas, redraw);
	return { ...part, layers, heads, n, rows, canvas, slider, legend, facts, nodes: [facts, legend, el("div.picture", canvas), slider.node, readout],
		strips: (of) => drawStrips(canvas, { rows, heads, n, step: slider.step(), cursor: part.cursor(), spans: run.spans, ...of }),
		update() {
			ready = true;
			slider.tell();
			tell();
			if (!waiting) requestAnimationFrame(redraw);
			waiting = true;
		} };
}

// `usable` says whether it is known when entries went.
function stepSlider(n, usable) {
	const motion = !matchMedia("(prefers-reduced-motion: reduce)").matches;
	const slider = el("input", { type: "range", min: 0, max: n - 1, value: n - 1, "aria-label": "The query after which the cache is shown", oninput: () => go(Number(slider.value)) });
	const words = el("output"), play = button("Play", () => (timer ? stop() : start()));
	let timer = null;
	const step = () => (usable() ? stated("step", n - 1, 0, n - 1) : n - 1);
	const go = (to) => setState({ step: to >= n - 1 ? null : max(0, to) });
	const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
	const start = () => {
		let at = step() >= n - 1 ? 0 : step();
		play.textContent = "Stop";
		timer = setInterval(() => {
			if (!slider.isConnected) return stop();
			at = min(n - 1, at + max(1, round(n / (motion ? 120 : 12))));
			go(at);
			return at >= n - 1 ? stop() : undefined;
		}, motion ? 100 : 1000);
	};
	const node = el("div.slider", play, el("label", "Query ", slider), words);
	return { node, step, by: (amount) => usable() && go(step() + amount), tell: () => {
		slider.value = step();
		slider.disabled = play.disabled = !usable();
		words.textContent = usable() ? `after query ${whole(step())} of ${whole(n - 1)}` : "only the end is in this file";
	} };
}
