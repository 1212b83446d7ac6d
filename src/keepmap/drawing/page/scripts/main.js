// The page itself: its head, its tabs, and one view at a time.

// Words are made visible here; answers and code stay as they are, to be copied.
const RAW = ["text", "command", "python"];
const page = JSON.parse(byId("document").textContent, (name, value) => (typeof value === "string" && !RAW.includes(name) ? visible(value) : value));
let shown = null;

const runAt = () => { const at = stated("run", 0, 0, 1e9); return page.runs[at] ? at : 0; };

async function show() {
	const run = page.runs[runAt()], usable = views.filter((entry) => entry.has(run));
	const entry = usable.find((candidate) => candidate.name === state.view) || usable[0];
	if (shown && shown.entry === entry && shown.run === run) return shown.update && shown.update();
	const place = el("section", { class: `view ${entry.name}`, "aria-busy": "true" });
	shown?.gone.abort();
	shown = { entry, run, gone: new AbortController() };
	const mine = shown;
	byId("caption").textContent = (String(runAt()) === state.run ? "" : `No run ${state.run} is here. `) + run.caption;
	byId("views").replaceChildren(...usable.map((other) => button(other.title, () => open(other.name), {
		role: "tab", id: `tab-${other.name}`, "aria-controls": "main", "aria-selected": String(other === entry), tabindex: other === entry ? 0 : -1,
	})));
	byId("main").replaceChildren(place);
	byId("main").setAttribute("aria-labelledby", `tab-${entry.name}`);
	try {
		const update = await entry.open(place, run);
		if (mine === shown) shown.update = update;
	} catch (error) {
		place.replaceChildren(el("p", { role: "alert" }, `This view cannot be drawn: ${error.message}`));
		throw error;
	} finally {
		place.removeAttribute("aria-busy");
	}
}

// To a view by hand: its tab has the focus.
function open(name) {
	setState({ view: name });
	byId(`tab-${name}`).focus();
}

function keys() {
	const lines = [["1 … 9", "a view"], ["← →", "a token, a cell, a tab"], ["↑ ↓", "a line of text, a row of a map"], ["Home End", "the first, the last"],
		["+ −", "nearer, farther"], ["0", "everything"], ["[ ]", "a query earlier, later ({ } ten)"], ["/", "search the text"], ["n N", "next, previous match"], ["?", "this list"]];
	const dialog = el("dialog", { "aria-label": "Keys" }, el("h2", "Keys"),
		el("dl", lines.map(([name, what]) => [el("dt", el("kbd", name)), el("dd", what)])),
		el("form", { method: "dialog" }, el("button", "Close")));
	on(dialog, "close", () => dialog.remove());
	document.body.append(dialog);
	dialog.showModal();
}

function begin() {
	byId("title").textContent = page.title;
	on(byId("help"), "click", keys);
	byId("notes").append(...page.notes.map((note) => el("p", note)));
	views.sort((left, right) => left.order - right.order);
	readHash();
	if (page.runs.length > 1) {
		const nothing = () => Object.fromEntries(Object.keys(state).map((name) => [name, null]));
		const runs = choice("Run", page.runs.map((run, at) => [at, run.name]), runAt(), (run) => setState({ ...nothing(), view: state.view, run }));
		byId("help").before(runs);
		watchers.add(() => { runs.lastChild.value = runAt(); });
	}
	watchers.add(show);
	addEventListener("hashchange", () => { readHash(); for (const watcher of [...watchers]) watcher(); });
	on(byId("views"), "keydown", (event) => {
		const tabs = [...event.currentTarget.children], at = tabs.indexOf(document.activeElement);
		const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
		if (to === undefined || at < 0) return;
		event.preventDefault();
		open(tabs[(to + tabs.length) % tabs.length].id.slice(4));
	});
	on(document, "keydown", (event) => {
		if (event.altKey || typing(event)) return;
		const tabs = byId("views").children;
		if (event.key === "?" && !document.querySelector("dialog")) keys();
		else if (/^[1-9]$/.test(event.key) && tabs[event.key - 1]) open(tabs[event.key - 1].id.slice(4));
		else return;
		event.preventDefault();
	});
	return show();
}

if (typeof DecompressionStream === "undefined") {
	byId("main").textContent = "This browser cannot open packed data: use one of 2023 or later.";
} else {
	begin();
}
