// A picture of entries: a row per layer and KV head, positions from left to right. Where a column holds several
// positions it is their mixture, with a tick below it in the colour of what must not be lost from sight.

const LEFT = 64, TOP = 20, BOTTOM = 26;

// of: {rows, heads, n, from, until, classes, colours, ticks, n_sink, windowStart, step, spans, cursor: {row, at} or null}
// classes is a number per entry, colours their colours; ticks lists classes, the first that a column holds is its tick.
function drawStrips(canvas, of) {
	const ratio = window.devicePixelRatio || 1, cssWidth = canvas.clientWidth || 600;
	const row = rowHeight(of.rows), above = TOP + (of.spans.length ? 20 : 0), height = above + row * of.rows + BOTTOM;
	canvas.style.setProperty("height", `${height}px`);
	canvas.width = Math.round(cssWidth * ratio);
	canvas.height = Math.round(height * ratio);
	const pen = canvas.getContext("2d"), width = Math.max(1, canvas.width - Math.round((LEFT + 8) * ratio));
	const place = { left: Math.round(LEFT * ratio), top: Math.round(above * ratio), width, row: Math.round(row * ratio), ratio };
	pen.fillStyle = css(colour("back"));
	pen.fillRect(0, 0, canvas.width, canvas.height);
	pen.putImageData(entryPixels(of, place), place.left, place.top);
	drawAxes(pen, of, place, canvas);
	for (const [name, value] of Object.entries(place)) canvas.dataset[name] = value;
	return place;
}

function rowHeight(rows) {
	return Math.max(4, Math.min(22, Math.floor(480 / rows)));
}

function entryPixels(of, place) {
	const { width } = place, span = of.until - of.from, several = span > width, gap = place.row >= 6 ? Math.max(1, Math.round(place.ratio)) : 0;
	const image = new ImageData(width, place.row * of.rows), back = colour("back"), tick = several ? Math.max(1, Math.round(place.row / 5)) : 0;
	const starts = new Int32Array(width + 1), kinds = of.colours.length, counts = new Int32Array(kinds);
	for (let x = 0; x <= width; x++) starts[x] = of.from + Math.floor((x * span) / width);
	const line = new Uint8ClampedArray(width * 3), ticks = new Uint8ClampedArray(width * 3);
	for (let row = 0; row < of.rows; row++) {
		const base = row * of.n;
		for (let x = 0; x < width; x++) {
			const first = starts[x], last = Math.max(first + 1, starts[x + 1]);
			if (last === first + 1) {
				line.set(of.colours[of.classes[base + first]], x * 3);
				ticks.set(of.colours[of.classes[base + first]], x * 3);
				continue;
			}
			counts.fill(0);
			for (let at = base + first; at < base + last; at++) counts[of.classes[at]]++;
			for (let part = 0; part < 3; part++) {
				let sum = 0;
				for (let kind = 0; kind < kinds; kind++) sum += counts[kind] * of.colours[kind][part];
				line[x * 3 + part] = sum / (last - first);
			}
			const kind = of.ticks.find((candidate) => counts[candidate] > 0);
			ticks.set(kind === undefined ? line.subarray(x * 3, x * 3 + 3) : of.colours[kind], x * 3);
		}
		for (let y = 0; y < place.row; y++) {
			const source = y >= place.row - gap ? null : several && y >= place.row - gap - tick ? ticks : line;
			let to = ((row * place.row + y) * width) * 4;
			for (let x = 0; x < width; x++, to += 4) {
				const from = source || back, at = source ? x * 3 : 0;
				image.data[to] = from[at];
				image.data[to + 1] = from[at + 1];
				image.data[to + 2] = from[at + 2];
				image.data[to + 3] = 255;
			}
		}
	}
	return image;
}

function drawAxes(pen, of, place, canvas) {
	const { left, top, width, ratio } = place, span = of.until - of.from, bottom = top + place.row * of.rows;
	const x = (position) => left + ((position - of.from) / span) * width;
	pen.font = `${11 * ratio}px system-ui, "Liberation Sans", sans-serif`;
	pen.fillStyle = css(colour("muted"));
	pen.strokeStyle = css(colour("line"));
	pen.lineWidth = ratio;
	pen.textBaseline = "middle";
	pen.textAlign = "right";
	const each = Math.max(1, Math.ceil((14 * ratio) / (place.row * of.heads)));
	for (let layer = 0; layer * of.heads < of.rows; layer++) {
		const y = top + layer * of.heads * place.row;
		if (layer % each === 0) pen.fillText(layer === 0 ? "layer 0" : String(layer), left - 8 * ratio, y + Math.min(of.heads * place.row, 16 * ratio) / 2);
		if (layer) line(pen, left - 4 * ratio, y - 0.5 * ratio, left, y - 0.5 * ratio);
	}
	pen.textAlign = "center";
	pen.textBaseline = "top";
	for (const position of roundNumbers(of.from, of.until, Math.max(2, Math.floor(width / (90 * ratio))))) {
		line(pen, x(position), bottom, x(position), bottom + 4 * ratio);
		pen.fillText(whole(position), Math.max(left, Math.min(x(position), canvas.width - 24 * ratio)), bottom + 6 * ratio);
	}
	const zone = (from, until, name, slant) => band(pen, x(Math.max(of.from, from)), x(Math.min(of.until, until)), place, name, slant);
	if (of.n_sink > of.from) zone(0, of.n_sink, "sink", 1);
	const start = of.windowStart;
	if (start <= of.step && start < of.until && of.step + 1 > of.from) zone(Math.max(0, start), of.step + 1, "window", -1);
	const names = [...new Set(of.spans.map((each) => each.name))];
	for (const { name, start: first, end } of of.spans) {
		if (end <= of.from || first >= of.until) continue;
		const from = Math.max(left, x(first)), until = Math.max(from + 2 * ratio, Math.min(left + width, x(end))), paint = colour(`curve-${names.indexOf(name) % 7}`);
		pen.fillStyle = css(mixed(paint, colour("back"), 0.72));
		pen.fillRect(from, 0, until - from, 17 * ratio);
		pen.fillStyle = css(paint);
		pen.fillRect(from, 15 * ratio, until - from, 3 * ratio);
		pen.fillStyle = css(colour("text"));
		pen.textBaseline = "middle";
		if (until - from > 26 * ratio) pen.fillText(visible(shortened(name, 40)), (from + until) / 2, 8 * ratio, until - from - 4 * ratio);
	}
	pen.setLineDash([4 * ratio, 3 * ratio]);
	for (const [position, name] of [[of.n_sink, "sink"], [start, "window"]]) {
		if (position <= of.from || position >= of.until) continue;
		pen.strokeStyle = css(colour(name));
		line(pen, x(position), top - 4 * ratio, x(position), bottom);
	}
	pen.setLineDash([]);
	if (of.cursor && of.cursor.at >= of.from && of.cursor.at < of.until) {
		pen.strokeStyle = css(colour("text"));
		pen.lineWidth = 2 * ratio;
		const wide = Math.max(6 * ratio, width / span);
		pen.strokeRect(x(of.cursor.at + 0.5) - wide / 2, top + of.cursor.row * place.row - ratio, wide, place.row + ratio);
	}
}

function line(pen, fromX, fromY, toX, toY) {
	pen.beginPath();
	pen.moveTo(fromX, fromY);
	pen.lineTo(toX, toY);
	pen.stroke();
}

// A hatched band above the picture: what is protected, told by its slant too.
function band(pen, from, until, place, name, slant) {
	const { ratio } = place, high = 8 * ratio, top = place.top - high - 2 * ratio;
	const wide = Math.max(2 * ratio, until - from);
	pen.save();
	pen.beginPath();
	pen.rect(from, top, wide, high);
	pen.clip();
	pen.strokeStyle = css(colour(name));
	pen.lineWidth = 2 * ratio;
	for (let x = from - high; x < from + wide + high; x += 5 * ratio) line(pen, x, slant > 0 ? top + high : top, x + high, slant > 0 ? top : top + high);
	pen.restore();
}

// About so many round numbers from one to another.
function roundNumbers(from, until, count) {
	const rough = (until - from) / count, power = 10 ** Math.floor(Math.log10(rough)), round = [1, 2, 5, 10].find((by) => by * power >= rough) * power;
	const step = Math.max(1, round), numbers = [];
	for (let at = Math.ceil(from / step) * step; at < until; at += step) numbers.push(at);
	return numbers;
}

// Which part of the text is in sight, moved by wheel, drag, keys and buttons; the state holds it.
function stripWindow(canvas, n, rows) {
	const least = Math.min(n, 16);
	const range = () => {
		const from = stated("from", 0, 0, n - least), until = stated("to", n, from + least, n);
		return [from, until];
	};
	const show = (from, until) => {
		const span = Math.max(least, Math.min(n, Math.round(until - from))), start = Math.max(0, Math.min(n - span, Math.round(from)));
		setState(span >= n ? { from: null, to: null } : { from: start, to: start + span });
	};
	const zoom = (by, around) => {
		const [from, until] = range(), span = (until - from) * by;
		show(around - (around - from) * by, around - (around - from) * by + span);
	};
	const cell = (event) => {
		const box = canvas.getBoundingClientRect(), { left, top, width, row, ratio } = canvas.dataset, [from, until] = range();
		const x = ((event.clientX - box.left) * ratio - left) / width, y = Math.floor(((event.clientY - box.top) * ratio - top) / row);
		if (x < 0 || x >= 1 || y < 0 || y >= rows) return null;
		return { row: y, at: Math.floor(from + x * (until - from)) };
	};
	const cursor = () => ({ row: stated("row", 0, 0, rows - 1), at: stated("token", 0, 0, n - 1) });
	const go = (row, at) => {
		const [from, until] = range(), span = until - from;
		const changes = { row: Math.max(0, Math.min(rows - 1, row)), token: Math.max(0, Math.min(n - 1, at)) };
		if (changes.token < from || changes.token >= until) {
			const start = Math.max(0, Math.min(n - span, Math.round(changes.token - span / 2)));
			Object.assign(changes, span >= n ? {} : { from: start, to: start + span });
		}
		setState(changes);
	};
	canvas.addEventListener("wheel", (event) => {
		const under = cell(event);
		if (under === null || !(event.ctrlKey || document.activeElement === canvas)) return;
		event.preventDefault();
		zoom(event.deltaY > 0 ? 1.25 : 0.8, under.at);
	}, { passive: false });
	let grip = null;
	canvas.addEventListener("pointerdown", (event) => {
		const under = cell(event);
		grip = under && { x: event.clientX, range: range(), moved: false };
		if (under) canvas.setPointerCapture(event.pointerId);
	});
	canvas.addEventListener("pointermove", (event) => {
		if (!grip || (Math.abs(event.clientX - grip.x) < 4 && !grip.moved)) return;
		grip.moved = true;
		const [from, until] = grip.range, by = ((event.clientX - grip.x) * canvas.dataset.ratio / canvas.dataset.width) * (until - from);
		show(from - by, until - by);
	});
	canvas.addEventListener("pointerup", (event) => {
		const under = cell(event), click = grip && !grip.moved;
		grip = null;
		if (click && under) go(under.row, under.at);
	});
	canvas.addEventListener("keydown", (event) => {
		const { row, at } = cursor(), [from, until] = range(), far = event.shiftKey ? Math.max(1, Math.round((until - from) / 10)) : 1;
		const moves = { ArrowRight: () => go(row, at + far), ArrowLeft: () => go(row, at - far), ArrowDown: () => go(row + 1, at), ArrowUp: () => go(row - 1, at),
			Home: () => go(row, 0), End: () => go(row, n - 1), "+": () => zoom(0.5, at), "=": () => zoom(0.5, at), "-": () => zoom(2, at), 0: () => show(0, n) };
		const move = moves[event.key];
		if (!move || event.ctrlKey || event.metaKey) return;
		event.preventDefault();
		move();
	});
	const buttons = [button("Nearer", () => zoom(0.5, cursor().at), { title: "+" }), button("Farther", () => zoom(2, (range()[0] + range()[1]) / 2), { title: "−" }),
		button("Everything", () => show(0, n), { title: "0" })];
	return { range, cursor, cell, buttons };
}

// A slider over the queries, by which decoding is replayed.
function stepSlider(n, usable) {
	const motion = !matchMedia("(prefers-reduced-motion: reduce)").matches;
	const slider = el("input", { type: "range", min: 0, max: n - 1, value: n - 1, disabled: !usable, "aria-label": "The query after which the cache is shown", oninput: () => go(Number(slider.value)) });
	const words = el("output"), play = button("Play", () => (timer ? stop() : start()), { disabled: !usable });
	let timer = null;
	const step = () => (usable ? stated("step", n - 1, 0, n - 1) : n - 1);
	const go = (to) => setState({ step: to >= n - 1 ? null : Math.max(0, to) });
	const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
	const start = () => {
		let at = step() >= n - 1 ? 0 : step();
		play.textContent = "Stop";
		timer = setInterval(() => {
			if (!slider.isConnected) return stop();
			at = Math.min(n - 1, at + Math.max(1, Math.round(n / (motion ? 120 : 12))));
			go(at);
			return at >= n - 1 ? stop() : undefined;
		}, motion ? 100 : 1000);
	};
	const node = el("div", { class: "slider" }, play, el("label", {}, "Query ", slider), words);
	node.addEventListener("keydown", (event) => event.stopPropagation());
	return { node, step, by: (amount) => usable && go(step() + amount), tell: () => {
		slider.value = step();
		words.textContent = usable ? `after query ${whole(step())} of ${whole(n - 1)}` : "only the end is in this file";
	} };
}
