// Pictures of lines and points: axes with round numbers, one svg that scales with its place.

// Axes over {x, y: {min, max, title, show, log}}; returns the svg, and functions from values to places.
function chart(width, height, x, y, label) {
	const left = 62, right = 16, top = 14, bottom = 46, svg = el("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
	const scaled = (axis, value) => (axis.log ? Math.log(value / axis.min) / Math.log(axis.max / axis.min) : (value - axis.min) / (axis.max - axis.min));
	const toX = (value) => left + scaled(x, value) * (width - left - right), toY = (value) => height - bottom - scaled(y, value) * (height - top - bottom);
	for (const value of axisNumbers(x, Math.max(2, Math.floor((width - left) / 90)))) {
		svg.append(el("line", { class: "grid", x1: toX(value), x2: toX(value), y1: top, y2: height - bottom }),
			el("text", { class: "muted", x: toX(value), y: height - bottom + 18, "text-anchor": "middle" }, written(x.show)(value)));
	}
	for (const value of axisNumbers(y, Math.max(2, Math.floor((height - top - bottom) / 48)))) {
		svg.append(el("line", { class: "grid", x1: left, x2: width - right, y1: toY(value), y2: toY(value) }),
			el("text", { class: "muted", x: left - 8, y: toY(value) + 4, "text-anchor": "end" }, written(y.show)(value)));
	}
	svg.append(el("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
		el("text", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, x.title),
		el("text", { x: -(height - bottom + top) / 2, y: 14, "text-anchor": "middle", transform: "rotate(-90)" }, y.title));
	return { svg, toX, toY };
}

function axisNumbers(axis, count) {
	if (axis.at) return axis.at;
	if (axis.log) {
		const numbers = [];
		for (let power = Math.floor(Math.log10(axis.min)); 10 ** power <= axis.max; power++) for (const by of [1, 2, 5]) numbers.push(by * 10 ** power);
		const inside = numbers.filter((value) => value >= axis.min * 0.999 && value <= axis.max * 1.001);
		return inside.length > 2 ? inside : [axis.min, axis.max];
	}
	const rough = (axis.max - axis.min) / count, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find((by) => by * power >= rough * 0.999) * power, numbers = [];
	for (let at = Math.ceil(axis.min / step - 1e-9); at * step <= axis.max * (1 + 1e-9); at++) numbers.push(Number((at * step).toPrecision(12)));
	return numbers;
}

// The legend of curves: the mark and the dashes that each has.
function curveKey(names) {
	return el("ul", { class: "key" }, names.map((name, at) => {
		const { colour: of, mark: kind, dashes } = curve(at), svg = el("svg", { width: 34, height: 14, "aria-hidden": "true" });
		svg.append(el("line", { x1: 0, x2: 34, y1: 7, y2: 7, stroke: of, "stroke-width": 2, "stroke-dasharray": dashes || null }), mark(kind, 17, 7, 4.5, { fill: of, stroke: of, "stroke-width": 1.5 }));
		return el("li", {}, svg, visible(name));
	}));
}

const chartWidth = (box, most) => Math.max(320, Math.min(most, box.clientWidth || 900));

// The curve number `at` through points [x, y], marked at its end; a point without a number is a gap.
function drawCurve({ svg, toX, toY }, at, points, strong = false) {
	const { colour: paint, mark: kind, dashes } = curve(at), known = points.filter(([, y]) => y !== null), last = known[known.length - 1];
	if (!last) return;
	svg.append(el("polyline", { points: known.map(([x, y]) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`).join(" "), fill: "none", stroke: paint, "stroke-width": strong ? 3 : 2, "stroke-dasharray": dashes || null }),
		mark(kind, toX(last[0]), toY(last[1]), 5, { fill: paint, stroke: paint, "stroke-width": 1.5 }));
}

// A point of the curve number `at`, with its interval, that says its words under the pointer and in focus.
function drawPoint({ svg, toX, toY }, at, x, y, low, high, words, note, { hollow = false, ring = false } = {}) {
	const { colour: paint, mark: kind } = curve(at), px = toX(x), py = toY(y), tell = () => { note.textContent = words; };
	svg.append(el("g", { class: "point", tabindex: "0", role: "img", "aria-label": words, onfocus: tell, onmouseenter: tell },
		low === null || low === undefined ? "" : el("line", { x1: px, x2: px, y1: toY(low), y2: toY(high), stroke: paint, "stroke-width": 1.5, opacity: 0.6 }), ring ? el("circle", { cx: px, cy: py, r: 10, fill: "none", stroke: css(colour("text")), "stroke-width": 1.5 }) : "",
		mark(kind, px, py, 5, { fill: hollow ? css(colour("back")) : paint, stroke: paint, "stroke-width": 1.5 }), el("title", {}, words)));
}
