// The registry: a file of views/ registers one view; tabs, keys and the hash find it here.

const views = [];

// {name, title, order, has: run -> whether there is anything to show, open: async (place, run) -> () => void on changes}
function view(entry) {
	views.push(entry);
}

// What stands above a view: its name, what it shows, and its controls.
function heading(about, ...items) {
	return el("div.heading", el("h2", shown.entry.title), el("p.about", about),
		items.length ? controls(items) : null);
}

// A picture that fills the width that there is, drawn again when that changes or the colours do.
function redrawn(node, draw) {
	const { signal } = shown.gone, observer = new ResizeObserver(() => requestAnimationFrame(draw));
	observer.observe(node);
	on(signal, "abort", () => observer.disconnect());
	for (const query of ["(prefers-color-scheme: dark)", "print"]) on(matchMedia(query), "change", draw, { signal });
}

// Which method is shown, of those that have a map.
const methodChoice = (run) => stateChoice("Method", run.maps.map((method) => [method.key, method.label]), "method", methodOf(run).key);
const chosenMethod = (run) => run.maps.indexOf(methodOf(run));

const pngButton = (name, canvas) => button("Save as PNG", () => savePng(stem(typeof name === "string" ? name : name()), canvas));
const readoutLine = () => el("p.readout", { "aria-live": "polite" });
const controls = (...of) => el("div.controls", of);

// A choice that the state holds under a name.
const stateChoice = (label, options, name, value) => choice(label, options, value, (to) => setState({ [name]: to || null }));
const fact = (value, what) => el("li", el("b", value), el("span", what));

// The spans of the text that a position is in, in words.
function spansAt(run, at) {
	const names = run.spans.filter((span) => span.start <= at && at < span.end).map((span) => span.name);
	return names.length ? `, in ${[...new Set(names)].join(", ")}` : "";
}
const next = (title = "") => el("h3.next", title);
