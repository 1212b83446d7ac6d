// What came of it, in a sentence and a table; every setting; the command that repeats it.

const ends = (low, high, show = signed) => (low == null ? "too few samples" : `${show(low)} … ${show(high)}`);
const interval = (row) => ends(row.nll_delta_low, row.nll_delta_high);

const ENDS = { interval: signed, shares: percent, between: (value) => number(value, 2) };

// Intervals, sorted by their lower ends and saved as two numbers.
const intervals = (title, of, about, show) => ({ ...col(title, (row) => of(row)[0], (_, row) => ends(...of(row), show), about), csv: [[`${title}, low`, (row) => of(row)[0]], [`${title}, high`, (row) => of(row)[1]]] });

// A table whose order the state holds.
function valueTable({ caption, columns: all, rows }) {
	const columns = all.map(([title, about, kind], index) => {
		if (kind in ENDS) return intervals(title, (row) => row[index], about, ENDS[kind]);
		const most = max(...rows.map((row) => row[index] || 0), 1e-9);
		return col(title, index, kind === "cost" ? (value) => bar(signed(value), value / most, kind) : kind, about);
	});
	const at = columns.findIndex((column) => column.title === state.sort);
	return sortableTable("results", caption, rows, columns, { sorted: at < 0 ? null : at, ascending: state.order !== "down", onsort: (index, up) => setState({ sort: columns[index].title, order: up ? null : "down" }, true) });
}

view("summary", "Summary", 1, () => true, async (place, run) => {
	place.append(el("p.verdict", run.verdict));
	if (run.warnings.length) place.append(el("ul.warnings", { "aria-label": "Warnings" }, run.warnings.map((text) => el("li", text))));
	place.append(...run.tables.map(valueTable));
	const words = (title, text, what) => el("div.words", el("h3", title), el("pre", { tabindex: "0" }, visible(text).replaceAll("⏎", "\n")), button("Copy", () => copy(text, what)));
	place.append(el("div.cards", {},
		el("div.card", el("h3", "What decided these numbers"),
			el("dl.settings", run.settings.map(([name, value]) => [el("dt", name), el("dd", value)]))),
		el("div.card", {},
			run.command ? words("Again, as a command", run.command, "The command") : null,
			words("In Python", run.python, "The Python code"))));
});
