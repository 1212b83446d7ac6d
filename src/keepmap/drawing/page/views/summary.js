// What came of it, in a sentence and a table; every setting; the command that repeats it.

const COLUMNS = [
	["nll_delta", "ΔNLL", "nats per token more than with the full cache; less is better", (value) => signed(value)],
	["interval", "95 % interval", "of ΔNLL, paired over samples"],
	["kl", "KL", "of the full cache's predictions to these, nats per token", (value) => number(value)],
	["top1_agreement", "top-1", "share of tokens for which both predict the same next one", (value) => percent(value)],
	["perplexity", "PPL", "exp of the NLL", (value) => number(value, 3)],
	["density_overall", "kept", "cache entries kept at the end, of all", (value) => percent(value)],
	["density_compressible", "kept, compressible", "the same without sinks and window", (value) => percent(value)],
	["footprint", "footprint", "cache entries held on average while reading, of all", (value) => percent(value)],
	["peak", "peak", "most entries held at once in the first text, of all its entries", (value) => percent(value)],
	["accuracy", "accuracy", "share of the tasks that were solved", (value) => percent(value)],
];

function bar(text, share, kind) {
	return el("span", { class: "bar" }, el("span", { class: kind, style: { width: `${100 * Math.max(0, Math.min(1, share || 0))}%` } }), el("span", {}, text));
}

const ends = (low, high) => (low === null || low === undefined ? "too few samples" : `${signed(low)} … ${signed(high)}`);
const interval = (row) => ends(row.nll_delta_low, row.nll_delta_high);

function resultTable(run) {
	const most = Math.max(...run.rows.map((row) => row.nll_delta || 0), 1e-9);
	const has = (name) => run.rows.some((row) => row[name] !== undefined && row[name] !== null);
	const columns = [col("method", (row) => row.method, "words")];
	for (const [name, title, about, show] of COLUMNS) {
		if (name === "interval") columns.push({ ...col(title, (row) => row.nll_delta_low ?? null, (_, row) => interval(row), about), csv: interval });
		else if (!has(name)) continue;
		else if (name === "nll_delta") columns.push(col(title, (row) => row[name], (value) => bar(show(value), value / most, "cost"), about));
		else if (name === "footprint") columns.push(col(title, (row) => row[name], (value) => bar(show(value), value, "share"), about));
		else columns.push(col(title, (row) => row[name] ?? null, show, about));
	}
	const at = columns.findIndex((column) => column.title === state.sort);
	return sortableTable({
		name: stem(run, "results"), caption: "Results, means over all texts", columns, rows: run.rows,
		sorted: at < 0 ? null : at, ascending: state.order !== "down",
		onsort: (index, up) => setState({ sort: columns[index].title, order: up ? null : "down" }, true),
	});
}

// The table of a value that is no comparison: columns say how their numbers are written.
function valueTable(run, { caption, columns, rows }) {
	const at = columns.findIndex(([title]) => title === state.sort);
	return sortableTable({ name: stem(run, "results"), caption: visible(caption), rows, sorted: at < 0 ? null : at, ascending: state.order !== "down",
		columns: columns.map(([title, about, kind], index) => (kind === "interval" ? { ...col(title, (row) => row[index][0], (_, row) => ends(...row[index]), about), csv: (row) => ends(...row[index]) } : col(title, (row) => row[index], kind, about))),
		onsort: (index, up) => setState({ sort: columns[index][0], order: up ? null : "down" }, true) });
}

view({
	name: "summary", title: "Summary", order: 1, has: () => true,
	async open(place, run) {
		place.append(el("p", { class: "verdict" }, visible(run.verdict)));
		if (run.warnings.length) place.append(el("ul", { class: "warnings", "aria-label": "Warnings" }, run.warnings.map((text) => el("li", {}, visible(text)))));
		place.append(...(run.rows.length ? [resultTable(run)] : run.tables.map((table) => valueTable(run, table))));
		const words = (title, text, what) => el("div", { class: "words" }, el("h3", {}, title), el("pre", { tabindex: "0" }, visible(text).replaceAll("⏎", "\n")), button("Copy", () => copy(text, what)));
		place.append(el("div", { class: "cards" },
			el("div", { class: "card" }, el("h3", {}, "What decided these numbers"),
				el("dl", { class: "settings" }, run.settings.map(([name, value]) => [el("dt", {}, visible(name)), el("dd", {}, visible(value))]))),
			el("div", { class: "card" },
				run.command ? words("Again, as a command", run.command, "The command") : null,
				words("In Python", run.python, "The Python code"))));
	},
});
