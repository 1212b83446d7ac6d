// What came of it, in a sentence and a table; every setting; the command that repeats it.

const COLUMNS = [
	["nll_delta", "ΔNLL", "nats per token more than with the full cache; less is better", "signed"],
	["interval", "95 % interval", "of ΔNLL, paired over samples", ""],
	["kl", "KL", "of the full cache's predictions to these, nats per token", "number"],
	["top1_agreement", "top-1", "share of tokens for which both predict the same next one", "share"],
	["perplexity", "PPL", "exp of the NLL", (value) => number(value, 3)],
	["density_overall", "kept", "cache entries kept at the end, of all", "share"],
	["density_compressible", "kept, compressible", "the same without sinks and window", "share"],
	["footprint", "footprint", "cache entries held on average while reading, of all", "bar"],
	["peak", "peak", "most entries held at once in the first text, of all its entries", "share"],
];

const ends = (low, high, show = signed) => (low == null ? "too few samples" : `${show(low)} … ${show(high)}`);
const interval = (row) => ends(row.nll_delta_low, row.nll_delta_high);

const ENDS = { interval: signed, shares: percent };

// A column of intervals, sorted by their lower ends and saved as they are shown.
const intervals = (title, of, about, show) => ({ ...col(title, (row) => of(row)[0], (_, row) => ends(...of(row), show), about), csv: (row) => ends(...of(row), show) });

// A table whose order the state holds.
function resultTable(run, caption, columns, rows) {
	const at = columns.findIndex((column) => column.title === state.sort);
	return sortableTable({
		run, name: "results", caption: caption, columns, rows, sorted: at < 0 ? null : at, ascending: state.order !== "down",
		onsort: (index, up) => setState({ sort: columns[index].title, order: up ? null : "down" }, true),
	});
}

function comparedTable(run) {
	const most = Math.max(...run.rows.map((row) => row.nll_delta || 0), 1e-9), columns = [col("method", "method", "words")];
	for (const [name, title, about, show] of COLUMNS) {
		if (name === "interval") columns.push(intervals(title, (row) => [row.nll_delta_low, row.nll_delta_high], about));
		else if (run.rows.every((row) => (row[name] ?? null) === null)) continue;
		else if (name === "nll_delta") columns.push(col(title, name, (value) => bar(signed(value), value / most, "cost"), about));
		else columns.push(col(title, name, show, about));
	}
	return resultTable(run, "Results, means over all texts", columns, run.rows);
}

// The table of a value that is no comparison: columns say how their numbers are written.
const valueTable = (run, { caption, columns, rows }) => resultTable(run, caption, columns.map(([title, about, kind], index) => (kind in ENDS ? intervals(title, (row) => row[index], about, ENDS[kind]) : col(title, index, kind, about))), rows);

view({
	name: "summary", title: "Summary", order: 1, has: () => true,
	async open(place, run) {
		place.append(el("p", { class: "verdict" }, run.verdict));
		if (run.warnings.length) place.append(el("ul", { class: "warnings", "aria-label": "Warnings" }, run.warnings.map((text) => el("li", {}, text))));
		place.append(...(run.rows.length ? [comparedTable(run)] : run.tables.map((table) => valueTable(run, table))));
		const words = (title, text, what) => el("div", { class: "words" }, el("h3", {}, title), el("pre", { tabindex: "0" }, visible(text).replaceAll("⏎", "\n")), button("Copy", () => copy(text, what)));
		place.append(el("div", { class: "cards" },
			el("div", { class: "card" }, el("h3", {}, "What decided these numbers"),
				el("dl", { class: "settings" }, run.settings.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]))),
			el("div", { class: "card" },
				run.command ? words("Again, as a command", run.command, "The command") : null,
				words("In Python", run.python, "The Python code"))));
	},
});
