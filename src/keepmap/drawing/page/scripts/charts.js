// Pictures of lines and points, each one svg.

// Axes over {x, y: {min, max, title, show, log, at}}; returns the svg, and functions from values to places.
function chart(width, height, x, y, what) {
	const left = 72, top = 14, right = width - 24, bottom = height - 46, svg = svgOf(width, height, what);
	const scaled = (axis, value) => (axis.log ? log10(value / axis.min) / log10(axis.max / axis.min) : (value - axis.min) / (axis.max - axis.min));
	const toX = (value) => left + scaled(x, value) * (right - left), toY = (value) => bottom - scaled(y, value) * (bottom - top);
	const muted = { class: "muted" };
	for (const value of axisNumbers(x, (width - left) / 90)) {
		svg.append(el("line.grid", ruled(toX(value), top, toX(value), bottom)), label(written(x.show)(value), toX(value), bottom + 18, muted));
	}
	for (const value of axisNumbers(y, (bottom - top) / 48)) {
		svg.append(el("line.grid", ruled(left, toY(value), right, toY(value))), label(written(y.show)(value), left - 8, toY(value) + 4, { ...muted, "text-anchor": "end" }));
	}
	svg.append(el("line.axis", ruled(left, bottom, right, bottom)), label(x.title, (left + right) / 2, height - 8, x.title.length * 7 > width ? { textLength: right - left, lengthAdjust: "spacingAndGlyphs" } : {}),
		label(y.title, -(bottom + top) / 2, 14, { transform: "rotate(-90)" }));
	return { svg, toX, toY, left, right };
}

const label = (words, x, y, more) => el("text", { x, y, "text-anchor": "middle", ...more }, words);
const ruled = (x1, y1, x2, y2) => ({ x1, y1, x2, y2 });
const svgOf = (width, height, what) => el("svg.chart", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "data-what": what, "aria-label": `${what}. The numbers are in a table.` });

function axisNumbers(axis, count) {
	if (axis.at) return axis.at;
	if (!axis.log) {
		const [few, more] = [1, 2].map((by) => roundNumbers(axis.min, axis.max, by * max(2, floor(count))));
		return few.length > 1 ? few : more;
	}
	const numbers = [];
	for (let power = floor(log10(axis.min)); 10 ** power <= axis.max; power++) for (const by of axis.max > 500 * axis.min ? [1] : [1, 2, 5]) numbers.push(by * 10 ** power);
	const inside = numbers.filter((value) => value >= axis.min * 0.999 && value <= axis.max * 1.001);
	return inside.length > 2 ? inside : [axis.min, axis.max];
}

// About so many round numbers, not nearer to each other than the least.
function roundNumbers(from, until, count, least = 0) {
	const rough = (until - from) / count, power = 10 ** floor(log10(rough)), step = max(least, [1, 2, 5, 10].find((by) => by * power >= rough * 0.999) * power), numbers = [];
	for (let at = ceil(from / step - 1e-9); at * step <= until + 1e-9 * step; at++) numbers.push(Number((at * step).toPrecision(12)));
	return numbers;
}

function curveKey(names) {
	return el("ul.key", names.map((name, at) => {
		const { colour: of, mark: kind } = curve(at), svg = el("svg", { width: 34, height: 14, "aria-hidden": "true" });
		svg.append(lineOf([[0, 7], [34, 7]], at, 2), mark(kind, 17, 7, 4.5, of));
		return el("li", svg, name);
	}));
}

const chartWidth = (box, most) => clamped(box.clientWidth || 900, 320, most);

function svgPlace(name, keys) {
	const box = el("div");
	return { box, show: (svg) => box.replaceChildren(svg), buttons: saving(name, () => box.querySelector("svg"), keys) };
}

// A curve's line through places [x, y] of a picture.
function lineOf(places, at, width) {
	const { colour: stroke, dashes } = curve(at);
	return el("polyline", { points: places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "), fill: "none", stroke, "stroke-width": width, "stroke-dasharray": dashes || null });
}

// A curve through points [x, y], marked at its end; those without a number are left out.
function drawCurve({ svg, toX, toY }, at, points, width = 2) {
	const { colour: paint, mark: kind } = curve(at), places = points.filter(([, y]) => y !== null).map(([x, y]) => [toX(x), toY(y)]);
	if (places.length) svg.append(lineOf(places, at, width), mark(kind, ...places[places.length - 1], 5, paint));
}

const dashed = (x1, y1, x2, y2) => el("line", { ...ruled(x1, y1, x2, y2), stroke: ink("muted"), "stroke-dasharray": "4 3" });

// A curve's point, with its interval; it says its words under the pointer and in focus.
function drawPoint({ svg, toX, toY }, at, x, y, low, high, words, note, { hollow = false, ring = false, letter = "" } = {}) {
	const { colour: stroke, mark: kind } = curve(at), px = toX(x), py = toY(y), tell = () => { note.textContent = words; };
	svg.append(el("g.point", { tabindex: "0", role: "img", "aria-label": words, onfocus: tell, onmouseenter: tell },
		low == null ? "" : el("line", { ...ruled(px, toY(low), px, toY(high)), stroke, "stroke-width": 1.5, opacity: 0.6 }),
		ring ? el("circle", { cx: px, cy: py, r: 10, fill: "none", stroke: ink("text"), "stroke-width": 1.5 }) : "",
		mark(kind, px, py, 5, stroke, hollow ? ink("back") : stroke), letter && label(letter, px, (high == null ? py : toY(high)) - 6), el("title", words)));
}

// Axes around points {x, y, low, high} of which `curves` are held; `same`: about the same by all.
function axesOf(points, curves) {
	const held = curves.map((point) => point.x), ends = points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]), low = min(...held), high = max(...held), bottom = min(0, ...ends), top = max(...ends, 1e-6), pad = max(0.015, (high - low) * 0.15), room = (top - bottom) * 0.06;
	return { low, high, same: high <= 1.1 * low, x: { min: max(0, low - pad), max: min(1, high + pad) }, y: { min: bottom - room, max: top + room } };
}

// Small pictures on one scale, one for each name, of points {name, at, x, y, low, high, words}: `at` is the curve's, and
// -1 a level to compare with. Curves that hold the same stand side by side.
function multiples(names, points, y, show, note) {
	const curves = points.filter((point) => point.at >= 0), { high, same, x, y: upwards } = axesOf(points, curves), wide = names.length === 1 ? 520 : 300;
	const known = [...new Set(curves.map((point) => point.at))], alike = same && known.length > 1, across = (point) => (alike ? known.indexOf(point.at) + 0.5 : point.x);
	return el("div.multiples", names.map((name) => {
		const drawn = chart(wide, wide * 0.7, alike ? { min: 0, max: known.length, at: [], title: `${name}: ${percent(high, 0)} held` } : { ...x, title: `${name}: share held`, show: "share" },
			{ ...upwards, title: y, show }, `${name}: ${y || "cost"} against memory`), { svg, toX, toY, left, right } = drawn, of = (at) => points.filter((point) => point.name === name && point.at === at).sort((a, b) => a.x - b.x);
		for (const level of of(-1)) svg.append(dashed(left, toY(level.y), right, toY(level.y)));
		for (const at of known) {
			const own = of(at);
			if (own.length > 1) svg.append(lineOf(own.map((point) => [toX(across(point)), toY(point.y)]), at, 1.5));
			for (const point of own) drawPoint(drawn, at, across(point), point.y, point.low, point.high, point.words, note);
		}
		return svg;
	}));
}
