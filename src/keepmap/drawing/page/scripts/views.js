// The registry: a file of views/ registers one view; tabs, keys and the hash find it here.

const views = [];

// {name, title, order, has: run -> whether there is anything to show, open: async (place, run) -> () => void on changes}
function view(entry) {
	views.push(entry);
}

// What stands above a view: its name, what it shows, and its controls.
function heading(about, ...items) {
	return el("div", { class: "heading" }, el("h2", {}, shown.entry.title), el("p", { class: "about" }, about),
		items.length ? controls(items) : null);
}

// A picture that fills the width that there is, drawn again when that changes or the colours do.
function redrawn(node, draw) {
	new ResizeObserver(() => requestAnimationFrame(draw)).observe(node);
	for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", () => node.isConnected && draw());
}

// Which method is shown, of those that have a map.
const methodChoice = (run) => stateChoice("Method", run.maps.map((method) => [method.key, method.label]), "method", state.method || run.maps[0].key);
const chosenMethod = (run) => Math.max(0, run.maps.findIndex((method) => method.key === state.method));

const pngButton = (run, name, canvas) => button("Save as PNG", () => savePng(stem(run, typeof name === "string" ? name : name()), canvas));
const readoutLine = () => el("p", { class: "readout", "aria-live": "polite" });
const controls = (...of) => el("div", { class: "controls" }, of);

// A choice that the state holds under a name.
const stateChoice = (label, options, name, value) => choice(label, options, value, (to) => setState({ [name]: to || null }));
const fact = (value, what) => el("li", {}, el("b", {}, value), el("span", {}, what));

// The spans of the text that a position is in, in words.
function spansAt(run, at) {
	const names = run.spans.filter((span) => span.start <= at && at < span.end).map((span) => span.name);
	return names.length ? `, in ${[...new Set(names)].join(", ")}` : "";
}
const next = (title = "") => el("h3", { class: "next" }, title);
