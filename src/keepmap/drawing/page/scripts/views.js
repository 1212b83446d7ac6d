// The registry: a file of views/ registers one view.

const views = [];

// has: run -> whether there is anything to show; open: (place, run) -> what is done on changes.
function view(name, title, order, has, open) {
	views.push({ name, title, order, has, open });
}

function heading(about, ...items) {
	return el("div.heading", el("h2", shown.entry.title), el("p.about", about), items.length ? controls(items) : null);
}

// A picture that is drawn again when its width or the colours change.
function redrawn(node, draw) {
	const { signal } = shown.gone, observer = new ResizeObserver(() => requestAnimationFrame(draw));
	observer.observe(node);
	on(signal, "abort", () => observer.disconnect());
	for (const query of ["(prefers-color-scheme: dark)", "print"]) on(matchMedia(query), "change", draw, { signal });
	draw();
	return draw;
}

const methodsOf = (run) => run.maps.map((method) => [method.key, method.label]);
const methodChoice = (run) => stateChoice("Method", methodsOf(run), "method");
const chosenMethod = (run) => run.maps.indexOf(methodOf(run));

const readoutLine = () => el("p.readout", { "aria-live": "polite" });
const controls = (...of) => el("div.controls", of);

// The option [value, words] that the state names, or the first.
const picked = (name, options) => (options.some(([value]) => value === state[name]) ? state[name] : options[0][0]);
const stateChoice = (label, options, name, value = picked(name, options)) => choice(label, options, value, (to) => setState({ [name]: to }));
const fact = (value, what) => el("li", el("b", value), el("span", what));

function spansAt(run, at) {
	const names = spanNames({ spans: run.spans.filter(({ start, end }) => start <= at && at < end) });
	return names.length ? `, in ${names.join(", ")}` : "";
}
const spanNames = ({ spans }) => [...new Set(spans.map(({ name }) => name))];
const next = (title = "") => el("h3.next", title);
