// Elements and words. What the document holds is text, never parsed as markup.

const { abs, ceil, floor, log10, max, min, round } = Math;
const byId = (id) => document.getElementById(id);
const on = (node, event, act, options) => node.addEventListener(event, act, options);

// An element by name and classes ("div.cards"), with attributes where an object comes first.
function el(name, ...children) {
	const [tag, ...classes] = name.split("."), attributes = children[0]?.constructor === Object ? children.shift() : {};
	const svg = /^(svg|g|path|line|rect|circle|text|title|polyline|image)$/.test(tag);
	const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
	for (const [key, value] of Object.entries({ class: classes.join(" ") || null, ...attributes })) {
		if (value == null || value === false) continue;
		if (key.startsWith("on")) on(node, key.slice(2), value);
		else if (key === "style") for (const [property, of] of Object.entries(value)) node.style.setProperty(property, of);
		else if (key === "value") node.value = value;
		else node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...children.flat(Infinity).filter((child) => child != null));
	return node;
}

const UNSEEN = /[\u0000-\u001f\u007f-\u00a0\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const SIGNS = { "\n": "⏎", "\t": "⇥", "\r": "␍" };

// What a browser would obey, hide or turn round is a sign or an escape.
const visible = (text) => text.replace(UNSEEN, (letter) => SIGNS[letter] || "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0"));

const shortened = (text, longest) => text.length <= longest ? text : `${text.slice(0, longest)}… (${whole(text.length)} characters)`;

const cut = (text, most) => (text.length > most ? `${text.slice(0, max(1, most - 1))}…` : text);

const quoted = (text, longest = 40) => `“${visible(shortened(text, longest)).replaceAll(" ", "\u2423")}”`;

const clamped = (value, least, most) => max(least, min(most, value));
const upTo = (n) => [...Array(n).keys()];
const none = (value) => value == null || Number.isNaN(value);
const whole = (number) => round(number).toLocaleString("en");
const percent = (share, digits = 1) => (none(share) ? "–" : `${(100 * share).toFixed(digits)} %`);

function number(value, digits = 4) {
	if (none(value)) return "–";
	if (value !== 0 && abs(value) < 10 ** -digits) return value.toExponential(1);
	return value.toFixed(digits);
}

const rounded = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : String(value));

const signed = (value, digits = 4) => value == null ? "–" : (value >= 0 ? "+" : "−") + number(abs(value), digits);

function say(text) {
	byId("live").textContent = text;
}

function choice(label, options, value, onchange) {
	const select = el("select", { onchange: () => onchange(select.value) }, options.map(([value, text]) => el("option", { value }, text)));
	select.value = value;
	return el("label", label + " ", select);
}

const button = (text, onclick, attributes = {}) => el("button", { type: "button", onclick, ...attributes }, text);

const shownLines = (text) => visible(text).replaceAll("⏎", "⏎\n");

const key = (...entries) => el("ul.key", entries.map(keyEntry));
// Signs of a legend, which a saved picture has, too.
const block = (paint, width = 14, opacity = 1, x = 0, y = 0) => el("rect", { x, y, width, height: 14, opacity, style: { fill: `var(--${paint})` } });
const signOf = (width, more, ...shapes) => el("svg.swatch", { width, height: 14, "aria-hidden": !more?.role && "true", ...more }, shapes, el("rect.frame", { width, height: 14 }));
const slanted = (paint, d) => [block("back"), el("path", { d, "stroke-width": 5, style: { stroke: `var(--${paint})` } })];

function swatch(kind, more) {
	const [shape, of = shape] = kind.split(" "), shapes = {
		half: () => [block("evicted"), block("kept", 14, 0.5)], tick: () => [block("evicted"), block("kept", 14, 1, 0, 10)], span: () => [block(of, 14, 0.28), block(of, 14, 1, 0, 11)],
		sink: () => slanted(of, "M0,14L14,0"), window: () => slanted(of, "M0,0L14,14"), dot: () => el("circle", { cx: 7, cy: 7, r: 4.5, style: { fill: "var(--sink)" } }),
	};
	return signOf(14, more, shapes[shape]?.() || block(of));
}
const keyEntry = ([kind, text]) => el("li", swatch(kind), text);

const typing = (event) => event.ctrlKey || event.metaKey || event.target.matches("select, textarea, input:not([type=range])");

// What keys do in a node; a view's, wherever nobody types.
function onKeys(node, actsOf, options) {
	on(node, "keydown", (event) => {
		const act = !event.ctrlKey && !event.metaKey && actsOf(event)[event.key];
		if (!act) return;
		event.preventDefault();
		act();
	}, options);
}
const viewKeys = (actsOf) => onKeys(document, (event) => (typing(event) || document.querySelector("dialog") ? {} : actsOf(event)), { signal: shown.gone.signal });

// A text beside another one: ▶ is where they part.
function partedText(text, other, shown = visible) {
	let same = 0;
	while (same < text.length && text[same] === other[same]) same++;
	return [el("span.same", shown(text.slice(0, same))), el("b.parting", "▶", el("span.unseen", " here they part: ")), el("span.apart", shown(text.slice(same)))];
}
